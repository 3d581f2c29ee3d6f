import { defineConfig } from "vitest/config";

/** The one way every package is tested: files beside the code, a deadline for everything, no shared globals. */
export const preset = defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    passWithNoTests: false,
  },
});
