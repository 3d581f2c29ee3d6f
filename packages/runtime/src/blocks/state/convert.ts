import type { DeleteResponse, GetResponse, Item, OperationResult, SetResponse, WatchResponse } from "@mecha/api/state";
import type { StateChange, StateItem, StateResult } from "@mecha/component";
import { toTimestamp } from "../time.js";

// Messages are written as the plain objects that they are: `create()` would cost a read several times what an embedded store takes for it.

/** A store's item as a message. */
export function toItem(stored: StateItem): Item {
  return {
    $typeName: "mecha.state.v1.Item",
    key: stored.key,
    value: stored.value as Uint8Array<ArrayBuffer>,
    contentType: stored.contentType,
    etag: stored.etag,
    updateTime: toTimestamp(stored.updateTime),
    expireTime: stored.expireTime === undefined ? undefined : toTimestamp(stored.expireTime),
  };
}

/** What a Get found. */
export function toGetResponse(found: StateItem | undefined): GetResponse {
  return { $typeName: "mecha.state.v1.GetResponse", item: found === undefined ? undefined : toItem(found) };
}

/** What a Set did. */
export function toSetResponse(etag: string): SetResponse {
  return { $typeName: "mecha.state.v1.SetResponse", etag };
}

/** What a Delete did. */
export function toDeleteResponse(existed: boolean): DeleteResponse {
  return { $typeName: "mecha.state.v1.DeleteResponse", existed };
}

/** What the operations of a transaction did, in the request's order: those on keys are at `indexes`, the events where each says. */
export function toOperationResults(
  results: readonly StateResult[],
  indexes: readonly number[],
  published: readonly { readonly index: number; readonly entry: { readonly id: string } }[],
): OperationResult[] {
  const all: OperationResult["result"][] = [];
  for (const [position, result] of results.entries()) all[indexes[position] ?? position] = toResult(result);
  for (const { index, entry } of published) {
    all[index] = { case: "publish", value: { $typeName: "mecha.state.v1.PublishResult", eventId: entry.id } };
  }
  return all.map((result) => ({ $typeName: "mecha.state.v1.OperationResult", result }));
}

function toResult(result: StateResult): OperationResult["result"] {
  switch (result.type) {
    case "set":
      return { case: "set", value: toSetResponse(result.etag) };
    case "delete":
      return { case: "delete", value: toDeleteResponse(result.existed) };
    case "check":
      return { case: "check", value: { $typeName: "mecha.state.v1.CheckResult" } };
  }
}

/** What a watch reports. */
export function toWatchResponse(change: StateChange, resumeToken: string): WatchResponse {
  return { $typeName: "mecha.state.v1.WatchResponse", change: toChange(change), resumeToken };
}

function toChange(change: StateChange): WatchResponse["change"] {
  switch (change.type) {
    case "item":
      return { case: "item", value: toItem(change.item) };
    case "deleted": {
      const { key, expired } = change;
      return { case: "deleted", value: { $typeName: "mecha.state.v1.Deleted", key, expired } };
    }
    case "synced":
      return { case: "synced", value: { $typeName: "mecha.state.v1.Synced" } };
  }
}
