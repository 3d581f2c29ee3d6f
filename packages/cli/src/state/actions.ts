import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ClientFlags } from "../client-options.js";
import { CliError, exitCodes } from "../errors.js";
import pc from "../terminal/colors.js";
import { print, printJson } from "../terminal/print.js";
import { type StateRpc, withState } from "./client.js";
import { toJson } from "./item.js";
import { preview, readValue } from "./value.js";

interface StateFlags extends ClientFlags {
  store: string;
  json?: true | undefined;
}

interface ConditionFlags {
  ifMatch?: string | undefined;
  ifAbsent?: true | undefined;
  ifExists?: true | undefined;
}

export async function get(key: string, flags: StateFlags): Promise<void> {
  await withState(flags, async (state) => {
    const { item } = await state.get({ store: flags.store, key });
    if (item === undefined) {
      process.stderr.write(`there is no "${key}"\n`);
      process.exitCode = exitCodes.absent;
    } else if (flags.json) {
      await printJson(toJson(item));
    } else {
      await print(item.value);
      // A prompt must not follow the value on its line; a file gets the bytes as they are.
      if (process.stdout.isTTY && item.value.at(-1) !== 10) await print("\n");
    }
  });
}

export async function set(
  key: string,
  argument: string | undefined,
  flags: StateFlags &
    ConditionFlags & {
      file?: string | undefined;
      contentType?: string | undefined;
      ttl?: number | undefined;
      requestId: string;
    },
): Promise<void> {
  const value = await readValue(argument, flags.file, flags.contentType);
  await withState(flags, async (state) => {
    const { etag } = await state.set({
      store: flags.store,
      key,
      ...value,
      ...toPrecondition(flags),
      ...(flags.ttl !== undefined && { ttl: durationFromMs(flags.ttl) }),
      requestId: flags.requestId,
    });
    if (flags.json) await printJson({ key, etag });
    else await print(`${etag}\n`);
  });
}

export async function remove(key: string, flags: StateFlags & ConditionFlags & { requestId: string }): Promise<void> {
  await withState(flags, async (state) => {
    const { existed } = await state.delete({
      store: flags.store,
      key,
      ...toPrecondition(flags),
      requestId: flags.requestId,
    });
    if (flags.json) await printJson({ key, existed });
    else await print(existed ? `deleted "${key}"\n` : `there was no "${key}"\n`);
  });
}

export async function list(
  prefix: string,
  flags: StateFlags & { keysOnly?: true | undefined; limit: number },
): Promise<void> {
  await withState(flags, async (state) => {
    let left = flags.limit;
    for (let pageToken = ""; ; ) {
      const pageSize = Math.min(left, 100);
      const page = await state.list({
        store: flags.store,
        prefix,
        keysOnly: flags.keysOnly ?? false,
        pageSize,
        pageToken,
      });
      const width = Math.max(...page.items.map(({ key }) => key.length));
      for (const item of page.items) {
        if (flags.json) await printJson(toJson(item, !flags.keysOnly));
        else if (flags.keysOnly) await print(`${item.key}\n`);
        else await print(`${pc.bold(item.key.padEnd(width))}  ${preview(item, 80)}\n`);
      }
      left -= page.items.length;
      pageToken = page.nextPageToken;
      if (pageToken === "" || left === 0) return;
    }
  });
}

export async function watch(
  key: string | undefined,
  flags: StateFlags & { prefix?: string | undefined; resumeToken: string; untilSynced?: true | undefined },
): Promise<void> {
  if (key !== undefined && flags.prefix !== undefined) {
    throw new CliError("there is a key and a --prefix; a watch takes one of them", exitCodes.usage);
  }
  await withState(flags, async (state) => {
    const target =
      key === undefined ? { case: "prefix" as const, value: flags.prefix ?? "" } : { case: "key" as const, value: key };
    // A loop that is left leaves the call open; this ends it.
    const call = new AbortController();
    const request = { store: flags.store, target, resumeToken: flags.resumeToken };
    try {
      for await (const { change, resumeToken } of state.watch(request, { signal: call.signal })) {
        await printChange(change, resumeToken, flags.json ?? false);
        if (change.case === "synced" && flags.untilSynced) break;
      }
    } finally {
      call.abort();
    }
  });
}

type Change = Awaited<ReturnType<StateRpc["watch"]>> extends AsyncIterable<{ change: infer C }> ? C : never;

async function printChange(change: Change, resumeToken: string, json: boolean): Promise<void> {
  switch (change.case) {
    case "item":
      if (json) return await printJson({ type: "item", ...toJson(change.value), resumeToken });
      return await print(`${pc.green("item   ")}  ${pc.bold(change.value.key)}  ${preview(change.value, 80)}\n`);
    case "deleted":
      if (json)
        return await printJson({ type: "deleted", key: change.value.key, expired: change.value.expired, resumeToken });
      return await print(`${pc.red(change.value.expired ? "expired" : "deleted")}  ${pc.bold(change.value.key)}\n`);
    case "synced":
      if (json) return await printJson({ type: "synced", resumeToken });
      return await print(pc.dim("synced   that is all there is; now changes follow\n"));
  }
}

function toPrecondition({ ifMatch, ifAbsent, ifExists }: ConditionFlags) {
  if (ifMatch !== undefined) return { precondition: { condition: { case: "etag" as const, value: ifMatch } } };
  if (ifAbsent) return { precondition: { condition: { case: "absent" as const, value: true } } };
  if (ifExists) return { precondition: { condition: { case: "exists" as const, value: true } } };
  return undefined;
}
