import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { RuntimeService } from "@mecha/api/runtime";
import { StateService } from "@mecha/api/state";
import { describe, expect, it } from "vitest";
import { startRuntime, temporaryFolder, until } from "../../test/helpers.js";
import { testComponent } from "../../test/test-component.js";

/** A runtime on a resource file that the test changes. */
async function startOnFile(first: Record<string, unknown>, options: Parameters<typeof testComponent>[0] = {}) {
  const { definition, controls } = testComponent(options);
  const file = join(temporaryFolder(), "mecha.yaml");
  const write = (spec: Record<string, unknown>) =>
    // JSON is YAML.
    writeFileSync(
      file,
      JSON.stringify({
        apiVersion: "mecha.dev/v1",
        kind: "Component",
        metadata: { name: "store" },
        spec: { type: "test", ...spec },
      }),
    );
  write(first);
  const runtime = await startRuntime({ components: [definition], resources: [file] });
  const state = createClient(StateService, runtime.transport);
  return { runtime, state, controls, write, file };
}

const labelOf = async (state: Client<typeof StateService>): Promise<string> => {
  const { item } = await state.get({ key: "k" });
  return Buffer.from(item?.value ?? []).toString();
};

describe("a changed component", () => {
  it("is replaced under load without a lost call, and the old one closed after its last", async () => {
    const { state, controls, write } = await startOnFile({ config: { label: "0" } });
    const failures: unknown[] = [];
    const labels = new Set<string>();
    const stop = new AbortController();
    const load = Array.from({ length: 16 }, async () => {
      while (!stop.signal.aborted) {
        await labelOf(state).then(
          (label) => labels.add(label),
          (error: unknown) => failures.push(error),
        );
      }
    });
    for (let version = 1; version <= 5; version++) {
      write({ config: { label: String(version) } });
      await until(() => labels.has(String(version)), `version ${version} answers`);
    }
    stop.abort();
    await Promise.all(load);
    expect(failures).toEqual([]);
    await until(() => controls.open.size === 1, "the old ones are closed");
  });

  it("answers the calls that the old one still has", async () => {
    const { state, controls, write } = await startOnFile({ config: { label: "old", slow: true } });
    const slow = labelOf(state);
    await until(() => controls.waiting === 1, "a call waits");
    write({ config: { label: "new" } });
    await until(async () => controls.open.size === 2, "the new one runs beside");
    await until(async () => (await labelOf(state)) === "new", "the new one answers");
    expect(controls.open).toEqual(new Set([1, 2]));
    controls.release();
    expect(await slow).toBe("old");
    await until(() => controls.open.size === 1, "the old one is closed");
  });

  it("ends its streams with COMPONENT_REPLACED, and the last resume token is taken by the new one", async () => {
    const { state, write } = await startOnFile({ config: { label: "old" } });
    let resumeToken = "";
    const error = await (async () => {
      for await (const response of state.watch({ target: { case: "prefix", value: "" } })) {
        resumeToken = response.resumeToken;
        write({ config: { label: "new" } });
      }
      throw new Error("the stream ended without an error");
    })().catch((reason: unknown) => ConnectError.from(reason));
    expect(error.code).toBe(Code.Unavailable);
    expect(error.message).toMatch(/was replaced; open the stream again with its last resume token/);
    for await (const { change } of state.watch({ target: { case: "prefix", value: "" }, resumeToken })) {
      expect(change.case).toBe("synced");
      break;
    }
  });

  it("that is invalid is refused with its reason while the old one serves, and says so until it is mended", async () => {
    const { runtime, state, controls, write } = await startOnFile({ config: { label: "old" } });
    const client = createClient(RuntimeService, runtime.transport);
    const error = async () => (await client.listResources({})).resources[0]?.error ?? "";
    write({ config: { lable: "new" } });
    await until(async () => (await error()) !== "", "the change is refused");
    expect(await error()).toBe('unknown field "lable"; did you mean "label"?');
    expect(await labelOf(state)).toBe("old");
    write({ config: { label: "new", fail: "no such host" } });
    await until(async () => (await error()).includes("no such host"), "the start fails");
    expect(await labelOf(state)).toBe("old");
    write({ config: { label: "newer" } });
    await until(async () => (await error()) === "", "the change is taken");
    expect(await labelOf(state)).toBe("newer");
    await until(() => controls.open.size === 1, "one runs");
  });

  it("of which only scopes or defaults change is not restarted", async () => {
    const { state, controls, write } = await startOnFile({ config: { label: "one" } });
    write({ config: { label: "one" }, scopes: ["billing"] });
    const refused = () =>
      labelOf(state).then(
        () => false,
        (error: ConnectError) => error.code === Code.PermissionDenied,
      );
    await until(refused, "the app is out of scope");
    write({ config: { label: "one" }, scopes: ["app"] });
    await until(async () => !(await refused()), "the app is in scope");
    expect(controls.open).toEqual(new Set([1]));
  });

  it("that holds something exclusive is stopped first; if the new one does not start the old one does again", async () => {
    const { state, controls, write } = await startOnFile({ config: { label: "old" } }, { replace: "stop-first" });
    write({ config: { label: "new" } });
    const label = () =>
      labelOf(state).catch((error: ConnectError) => {
        expect(error.code).toBe(Code.Unavailable);
        return "being replaced";
      });
    await until(async () => (await label()) === "new", "the new one answers");
    expect(controls.open).toEqual(new Set([2]));
    write({ config: { label: "newer", fail: "disk is away" } });
    await until(async () => controls.open.has(3), "the configuration before runs again");
    expect(await labelOf(state)).toBe("new");
  });
});
