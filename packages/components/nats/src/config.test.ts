import { describe, expect, test } from "vitest";
import { configSchema } from "./config.js";
import { resolveDialing } from "./dialing.js";

/** What the schema says of a configuration, a line per fault. */
function faultsOf(config: unknown): string[] {
  const { success, error } = configSchema.safeParse(config);
  return success ? [] : error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

describe("a configuration", () => {
  test.each([
    [{ url: "localhost" }, 'url: must be a URL such as "nats://127.0.0.1:4222"'],
    [{ url: "http://localhost:8222" }, 'url: begins with "http:"; use nats:// or tls://'],
    [{ prefix: "my.app" }, "prefix: must be 1 to 32 characters of A-Z a-z 0-9 _ -"],
    [{ password: "p" }, "username: is missing; `password` needs it"],
    [{ token: "t", nkeySeed: "SU" }, ": token and nkeySeed are set; a user logs in in one way only"],
    [
      { monitorUrl: "localhost:8222" },
      'monitorUrl: must be an http:// or https:// URL such as "http://127.0.0.1:8222"',
    ],
  ])("that is wrong is told how to be right: %j", (config, fault) => {
    expect(faultsOf(config)).toContain(fault);
  });

  test("names no password in what it says of a URL", () => {
    expect(faultsOf({ url: "http://user:hunter2@host" }).join()).not.toContain("hunter2");
  });

  test("logs in as the URL says, unless it says otherwise itself", () => {
    const login = (config: object) => {
      const { user, pass, token, servers } = resolveDialing(configSchema.parse(config), "x").options;
      return { user, pass, token, servers };
    };
    const servers = ["h:4222"];
    expect(login({ url: "nats://u:p%40@h" })).toEqual({ user: "u", pass: "p@", token: undefined, servers });
    expect(login({ url: "nats://secret@h" })).toEqual({ user: undefined, pass: undefined, token: "secret", servers });
    const own = { username: "v", password: "q" };
    expect(login({ url: "nats://u:p@h", ...own })).toEqual({ user: "v", pass: "q", token: undefined, servers });
  });
});
