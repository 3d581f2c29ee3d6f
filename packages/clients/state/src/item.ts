import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Item } from "@mecha/api/state";

/** What is known of an item without its value. */
export interface StateEntry {
  /** The key; within a collection without its prefix. */
  readonly key: string;
  /** The media type of the value. */
  readonly contentType: string;
  /** Changes with every write and is never used again for this key: for `ifMatch`. */
  readonly etag: string;
  /** When the item ceases to exist; undefined if it does not. */
  readonly expireTime: Date | undefined;
  /** When it was last written. */
  readonly updateTime: Date | undefined;
}

/** One key and what is stored under it. */
export interface StateItem<T> extends StateEntry {
  readonly value: T;
}

/** @param prefix what to leave out of the key. */
export function toEntry(item: Item, prefix: string): StateEntry {
  return {
    key: item.key.slice(prefix.length),
    contentType: item.contentType,
    etag: item.etag,
    expireTime: item.expireTime && timestampDate(item.expireTime),
    updateTime: item.updateTime && timestampDate(item.updateTime),
  };
}
