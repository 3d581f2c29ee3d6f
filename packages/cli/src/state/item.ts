import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Item } from "@mecha/api/state";
import { toJsonFields } from "./value.js";

/** An item as `--json` prints it. */
export function toJson(item: Item, withValue = true): Record<string, unknown> {
  return {
    key: item.key,
    ...(withValue && toJsonFields(item)),
    contentType: item.contentType,
    etag: item.etag,
    ...(item.updateTime !== undefined && { updateTime: timestampDate(item.updateTime).toISOString() }),
    ...(item.expireTime !== undefined && { expireTime: timestampDate(item.expireTime).toISOString() }),
  };
}
