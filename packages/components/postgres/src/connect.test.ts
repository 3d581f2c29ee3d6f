import { execFileSync } from "node:child_process";
import { chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, failure, keyspace, open, openClient, set, textOf } from "../test/support.js";
import { config } from "./config.js";
import { durabilityOf } from "./session.js";

describe("the configuration", () => {
  test.each([
    [{}, "url"],
    [{ url: "mysql://127.0.0.1" }, "postgres://"],
    [{ url: "postgres://h", schema: "Robert'); DROP" }, "lower-case"],
    [{ url: "postgres://h", schema: "pg_mine" }, "PostgreSQL's own"],
    [{ url: "postgres://h", pool: 0 }, "pool"],
    [{ url: "postgres://h", poool: 5 }, "poool"],
  ])("%o is refused", (value, words) => {
    const { error } = config.safeParse(value);
    expect(error?.message).toContain(words);
  });

  test.each([
    ["on", "on", "", "HOST"],
    ["on", "local", "standby", "HOST"],
    ["on", "remote_write", "standby", "HOST"],
    ["on", "on", "standby", "REPLICATED"],
    ["on", "remote_apply", "FIRST 1 (a, b)", "REPLICATED"],
    ["on", "off", "standby", "PROCESS"],
    ["off", "on", "standby", "PROCESS"],
  ])("fsync %s, synchronous_commit %s and standbys '%s' are %s", (fsync, commit, standbys, durability) => {
    expect(durabilityOf(fsync, commit, standbys)).toBe(durability);
  });
});

describe.skipIf(missing("postgres"))("connecting", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const urlWith = (change: (url: URL) => void) => {
    const url = new URL(server.url);
    change(url);
    return { url: url.href };
  };

  test("a server that is not there is named, with what to do", async () => {
    const port = await freePort();
    const { reason, message } = await failure(open({ url: `postgres://user:secret@127.0.0.1:${port}/db` }));
    expect(reason).toBe("COMPONENT_UNAVAILABLE");
    expect(message).toBe(`connection refused at 127.0.0.1:${port}; is PostgreSQL running?`);
  });

  test("a database that does not exist is named", async () => {
    const { message } = await failure(open(urlWith((url) => (url.pathname = "/nowhere"))));
    expect(message).toContain('has no database "nowhere"');
  });

  test("a wrong password is told, and in no message", async () => {
    await using client = await openClient(server);
    await client.query("CREATE ROLE locked LOGIN PASSWORD 'right'");
    const rules = join(server.folder, "data/pg_hba.conf");
    const before = readFileSync(rules, "utf8");
    writeFileSync(rules, `host all locked all scram-sha-256\n${before}`);
    await client.query("SELECT pg_reload_conf()");
    const error = await failure(
      open(
        urlWith((url) => {
          url.username = "locked";
          url.password = "s3cret";
        }),
      ),
    );
    expect(error.message).toContain('refused the password of user "locked"');
    expect(`${error.message} ${error.stack}`).not.toContain("s3cret");
  });

  test("a user without the right to create the schema is told the statement that gives it", async () => {
    await using client = await openClient(server);
    await client.query("CREATE ROLE app LOGIN");
    const asApp = urlWith((url) => (url.username = "app"));
    const { message } = await failure(open(asApp, { schema: "theirs" }));
    const statement = /CREATE SCHEMA[^(]*/.exec(message)?.[0];
    expect(statement).toBe('CREATE SCHEMA IF NOT EXISTS theirs AUTHORIZATION "app" ');
    await client.query(statement ?? "");
    await using opened = await open(asApp, { schema: "theirs" });
    await set(opened.store, "key", "v");
  });

  test("a database whose encoding cannot hold every key is refused", async () => {
    await using client = await openClient(server);
    await client.query("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    const { message } = await failure(open(urlWith((url) => (url.pathname = "/latin"))));
    expect(message).toContain("the database's encoding is LATIN1");
  });

  test("a standby is refused, and calls that find one are told that nothing was done", async () => {
    await using opened = await open(server, { pool: 1 });
    await set(opened.store, "key", "v");
    await using client = await openClient(server);
    await client.query("ALTER SYSTEM SET default_transaction_read_only = on");
    await client.query("SELECT pg_reload_conf()");
    try {
      const start = await failure(open(server));
      expect(start.message).toContain("read-only standby");
      const running = await failure(set(opened.store, "key", "w"));
      expect(running.reason).toBe("COMPONENT_UNAVAILABLE");
    } finally {
      await client.query("SET default_transaction_read_only = off");
      await client.query("ALTER SYSTEM RESET default_transaction_read_only");
      await client.query("SELECT pg_reload_conf()");
    }
  });

  test("a start that is given up ends at once", async () => {
    await using client = await openClient(server);
    // Another runtime that takes its time to migrate.
    await client.query("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('mecha/schema/mecha', 0))");
    const starting = open(server, {}, { signal: AbortSignal.timeout(100) });
    await expect(starting).rejects.toThrow("timeout");
  });

  test("a server that has few connections left is used with those", async () => {
    await using small = await startPostgres({
      settings: { max_connections: "8", superuser_reserved_connections: "3" },
    });
    await using opened = await open(small, { pool: 20 });
    const calls = Array.from({ length: 500 }, (_, index) => set(opened.store, `key-${index % 50}`, "v"));
    await Promise.all(calls);
  });

  test("over TLS, with a CA that is given; a server that another one signed is refused", async () => {
    await using encrypted = await startPostgres();
    const certificates = mkdtempSync(join(tmpdir(), "mecha-test-"));
    const make = (name: string) => {
      const [key, cert] = [join(certificates, `${name}.key`), join(certificates, `${name}.crt`)];
      const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:db.internal"];
      execFileSync(
        "openssl",
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, ...subject],
        {
          stdio: "ignore",
        },
      );
      return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
    };
    const [own, other] = [make("own"), make("other")];
    const data = join(encrypted.folder, "data");
    const { uid, gid } = statSync(data);
    for (const [file, text] of [
      ["server.key", own.key],
      ["server.crt", own.cert],
    ] as const) {
      writeFileSync(join(data, file), text, { mode: 0o600 });
      chownSync(join(data, file), uid, gid);
    }
    await using client = await openClient(encrypted);
    await client.query("ALTER SYSTEM SET ssl = on");
    await client.query("SELECT pg_reload_conf()");
    await eventually("it takes TLS", async () => {
      const { rows } = await client.query<{ ssl: string }>("SHOW ssl");
      return rows[0]?.ssl === "on";
    });
    rmSync(certificates, { recursive: true });

    await using opened = await open(encrypted, { tls: { ca: own.cert, serverName: "db.internal" } });
    await set(opened.store, "key", "v");
    expect(textOf(await opened.store.get({ keyspace, key: "key" }))).toBe("v");
    const { rows } = await client.query(
      "SELECT bool_and(ssl) AS ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'mecha/postgres'",
    );
    expect(rows).toEqual([{ ssl: true }]);

    const refused = await failure(open(encrypted, { tls: { ca: other.cert, serverName: "db.internal" } }));
    expect(refused.message).toContain("certificate");
    const plain = await failure(open({ url: `${server.url}?sslmode=require` }));
    expect(plain.message).toContain("does not support SSL");
  });
});
