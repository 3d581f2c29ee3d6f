/**
 * The layout of a keyspace, all of it in the hash slot of its tag `{prefix:keyspace}`:
 *
 *     {tag}:meta      hash   layout, epoch, revision, run (after the layout and a colon), epochs, floor, due
 *     {tag}:item:K    string an item: its head, content type and value; Redis itself expires it
 *     {tag}:keys      zset   every key, score 0: byte order
 *     {tag}:changes   zset   every key by the revision of its last write
 *     {tag}:gone      zset   tombstones by revision: "d" + key (deleted), "x" + key (expired)
 *     {tag}:expiries  zset   keys that expire, by time in ms
 *     {tag}:request:I string what a request id was answered, for 10 minutes
 *
 * Every write takes the next revision. An etag is epoch and revision. The epoch changes when a write finds itself on another run of
 * the server: only there can revisions have gone back (a lagging replica promoted, an append-only file cut short), and the
 * numbers that were lost are not given again under the new epoch. `epochs` remembers where each former one ended, so that a watcher
 * from a lost future is told apart from one that just outlived a restart.
 */
export const layoutVersion = 1;

/** The keys of every script, in this order; some have more behind them. */
const keyNames = ["meta", "keys", "changes", "gone", "expiries"] as const;
export const fixedKeyCount = keyNames.length;

/** The names of a keyspace's fixed keys. */
export function fixedKeys(tag: string): readonly string[] {
  return keyNames.map((name) => `${tag}:${name}`);
}

/** Where a keyspace says which keys have changed, with U+0000 between them; "" for too many to name. */
export const changedChannel = (tag: string) => `${tag}:changed`;
export const itemKey = (tag: string, key: string) => `${tag}:item:${key}`;
export const requestKey = (tag: string, id: string) => `${tag}:request:${id}`;

/**
 * What scripts know of an item: it begins with the length of its etag, the etag, and two doubles: update and expiry time in ms, the latter 0
 * if there is none. Then come the length of the content type, the content type, and the value.
 */
export const itemLibrary = /* lua */ `
local call = redis.call

local function etag_of(head)
  return string.sub(head, 2, 1 + string.byte(head, 1))
end

-- How long the value is, of what is stored in all: its head tells.
local function value_length(head, stored)
  local at = 18 + string.byte(head, 1)
  return stored - at - 1 - (struct.unpack('>H', head, at))
end
`;

/** What scripts of a keyspace know of it. */
export const keyspaceLibrary = /* lua */ `${itemLibrary}
local META, NAMES, CHANGES, GONE, EXPIRIES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local TAG = string.sub(META, 1, -6)
local ITEM = TAG .. ':item:'
`;
