import { createStateClient, MechaError } from "../src/index.js";

declare global {
  /** What the page offers to the test that drives it. */
  var callRuntime: typeof callRuntimeFromPage;
}

/** Sets, gets, compares and watches from a web page; returns what it saw. */
async function callRuntimeFromPage(endpoint: string, token: string) {
  await using state = createStateClient({ endpoint, token, timeoutMs: 5000 });
  const { etag } = await state.set("greeting", { text: "grüße" });
  const item = await state.get("greeting");
  const bytes = new Uint8Array([0, 255]);
  await state.set("bytes", bytes);
  const conflict = await state.set("greeting", {}, { ifMatch: `${etag}x` }).catch((error: unknown) => error);
  const changes: string[] = [];
  for await (const change of state.watch({ prefix: "greeting" })) {
    changes.push(change.type === "item" ? JSON.stringify(change.item.value) : change.type);
    if (change.type === "synced") await state.set("greeting", { text: "changed" });
    if (changes.length === 3) break;
  }
  return {
    value: item?.value,
    bytes: Array.from((await state.get<Uint8Array>("bytes"))?.value ?? []),
    conflict: conflict instanceof MechaError ? conflict.reason : String(conflict),
    changes,
  };
}

globalThis.callRuntime = callRuntimeFromPage;
