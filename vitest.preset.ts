import { defineConfig } from "vitest/config";

/** The one way every package is tested: files beside the code, a deadline for everything, no shared globals. */
export const preset = defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    passWithNoTests: false,
    // Suites kill and stop real servers under load. In CI one that a slow moment of the machine broke is tried once more; the log says which it was.
    retry: process.env.CI ? 1 : 0,
  },
});
