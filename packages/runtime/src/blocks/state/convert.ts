import { create } from "@bufbuild/protobuf";
import {
  type DeleteResponse,
  DeleteResponseSchema,
  type Item,
  ItemSchema,
  type OperationResult,
  OperationResultSchema,
  type SetResponse,
  SetResponseSchema,
  type WatchResponse,
  WatchResponseSchema,
} from "@mecha/api/state";
import type { StateChange, StateItem, StateResult } from "@mecha/component";
import { toTimestamp } from "../time.js";

/** A store's item as a message. */
export function toItem(stored: StateItem): Item {
  const item = create(ItemSchema);
  item.key = stored.key;
  item.value = stored.value as Uint8Array<ArrayBuffer>;
  item.contentType = stored.contentType;
  item.etag = stored.etag;
  item.updateTime = toTimestamp(stored.updateTime);
  if (stored.expireTime !== undefined) item.expireTime = toTimestamp(stored.expireTime);
  return item;
}

/** What a Set did. */
export function toSetResponse(etag: string): SetResponse {
  const response = create(SetResponseSchema);
  response.etag = etag;
  return response;
}

/** What a Delete did. */
export function toDeleteResponse(existed: boolean): DeleteResponse {
  const response = create(DeleteResponseSchema);
  response.existed = existed;
  return response;
}

/** What one operation of a transaction did. */
export function toOperationResult(result: StateResult): OperationResult {
  switch (result.type) {
    case "set":
      return create(OperationResultSchema, { result: { case: "set", value: toSetResponse(result.etag) } });
    case "delete":
      return create(OperationResultSchema, { result: { case: "delete", value: toDeleteResponse(result.existed) } });
    case "check":
      return create(OperationResultSchema, { result: { case: "check", value: {} } });
  }
}

/** What a watch reports. */
export function toWatchResponse(change: StateChange, resumeToken: string): WatchResponse {
  const response = create(WatchResponseSchema, { resumeToken });
  switch (change.type) {
    case "item":
      response.change = { case: "item", value: toItem(change.item) };
      return response;
    case "deleted":
      return create(WatchResponseSchema, {
        resumeToken,
        change: { case: "deleted", value: { key: change.key, expired: change.expired } },
      });
    case "synced":
      return create(WatchResponseSchema, { resumeToken, change: { case: "synced", value: {} } });
  }
}
