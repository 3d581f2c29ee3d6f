import { describe, expect, test } from "vitest";
import { configSchema } from "./config.js";

/** What the schema says of a configuration, a line per fault. */
function faultsOf(config: unknown): string[] {
  const { success, error } = configSchema.safeParse(config);
  return success ? [] : error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

describe("a configuration", () => {
  test.each([
    [{ url: "localhost" }, 'url: must be a URL such as "amqp://127.0.0.1:5672"'],
    [{ url: "http://localhost:15672" }, 'url: begins with "http:"; use amqp://, or amqps:// for TLS'],
    [{ url: "amqp://h?heartbeat=1" }, "url: has parameters after a `?`; the options here say what can be set"],
    [{ prefix: "my.app" }, "prefix: must be 1 to 32 characters of A-Z a-z 0-9 _ -"],
    [{ topics: ["a b"] }, "topics.0: must be 1 to 128 characters of A-Z a-z 0-9 . _ -"],
  ])("that is wrong is told how to be right: %j", (config, fault) => {
    expect(faultsOf(config)).toContain(fault);
  });

  test("names no password in what it says of a URL", () => {
    expect(faultsOf({ url: "http://user:hunter2@host" }).join()).not.toContain("hunter2");
  });
});
