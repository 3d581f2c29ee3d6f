import { defineScript } from "./script.js";

/** How many former runs of the server are remembered, for watchers that resume across restarts. */
const maxEpochs = 8;

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

/** An item begins with the length of its etag, the etag, and two doubles: update and expiry time in ms, the latter 0 if there is none. */
const lib = /* lua */ `
local META, NAMES, CHANGES, GONE, EXPIRIES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ITEM = string.sub(META, 1, -5) .. 'item:'
local call = redis.call

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function etag_of(head)
  return string.sub(head, 2, 1 + string.byte(head, 1))
end

local function expiry_of(head)
  return (struct.unpack('>d', head, 10 + string.byte(head, 1)))
end

local function value_length(item)
  local head = call('GETRANGE', item, 0, 63)
  local at = 18 + string.byte(head, 1)
  return call('STRLEN', item) - at - 1 - (struct.unpack('>H', head, at))
end
`;

/** Taking revisions. The caller has checked all it must before `advance`: from there on, nothing may fail. */
const writing = /* lua */ `
local RUN = '${layoutVersion}:' .. ARGV[1]
local field = call('HMGET', META, 'epoch', 'revision', 'run', 'due')
local epoch, revision, same_run, due = field[1] or '', tonumber(field[2]) or 0, field[3] == RUN, tonumber(field[4])
local now = now_ms()
local was_due, epochs = due, nil

-- The layout, if it is newer than ours; whoever wrote it has left another run behind.
local function newer_layout()
  if same_run then return nil end
  local layout = tonumber(call('HGET', META, 'layout') or 0)
  return layout > ${layoutVersion} and layout or nil
end

-- A new revision, and a new epoch if this is another run of the server.
local function advance()
  if not same_run and not epochs then
    local former = {}
    if epoch ~= '' then
      former = cjson.decode(call('HGET', META, 'epochs') or '[]')
      table.insert(former, 1, { epoch, revision })
      former[${maxEpochs} + 1] = nil
    end
    epochs = #former > 0 and cjson.encode(former) or '[]'
    local micros = call('TIME')
    epoch = string.format('%x', micros[1] * 1000000 + micros[2])
  end
  revision = revision + 1
end

-- Buries expired items, at most so many; what is left is due again.
local function bury(limit)
  local names = call('ZRANGEBYSCORE', EXPIRIES, '-inf', now, 'LIMIT', 0, limit)
  for _, name in ipairs(names) do
    redis.pcall('UNLINK', ITEM .. name)
    call('ZREM', EXPIRIES, name)
    call('ZREM', NAMES, name)
    call('ZREM', CHANGES, name)
    call('ZADD', GONE, revision, 'x' .. name)
  end
  return #names
end

local function trim_tombstones(history)
  local over = call('ZCARD', GONE) - history
  if over > 0 then
    local last = call('ZRANGE', GONE, over - 1, over - 1, 'WITHSCORES')
    call('ZREMRANGEBYRANK', GONE, 0, over - 1)
    call('HSET', META, 'floor', last[2])
  end
end

local function next_due()
  local first = call('ZRANGE', EXPIRIES, 0, 0, 'WITHSCORES')
  return tonumber(first[2])
end

local function commit(message)
  if same_run then
    call('HSET', META, 'revision', revision)
  else
    call('HSET', META, 'layout', ${layoutVersion}, 'epoch', epoch, 'revision', revision, 'run', RUN, 'epochs', epochs)
  end
  if due ~= was_due then
    if due then call('HSET', META, 'due', due) else call('HDEL', META, 'due') end
  end
  redis.pcall('SPUBLISH', string.sub(META, 1, -5) .. 'changed', message)
end
`;

/**
 * Does the writes of several callers, each of them as a whole or not at all, and independently of the others. ARGV: run, how many
 * tombstones to keep, lifetime of request ids, then per write: how many operations, "=" and the fingerprint or "", and per operation: code,
 * etag, ttl, payload. A code is what to do (s, d, c) and what must hold (n, e, a, x). After the fixed keys come, per write, the items
 * and, if it has a fingerprint, the request. Answers per write: "done", etag, a digit per operation (whether it was there); or what did
 * not hold and for which operation.
 */
export const writeScript = defineScript(
  /* lua */ `${lib}${writing}
local HISTORY = tonumber(ARGV[2])
local newer = newer_layout()
local changes, deleted, messages = 0, 0, {}

local function set(item, name, head, lead, ttl, payload)
  if ttl > 0 then
    local expiry = now + ttl
    call('SET', item, lead .. struct.pack('>dd', now, expiry) .. payload, 'PXAT', expiry)
    call('ZADD', EXPIRIES, expiry, name)
    if not due or expiry < due then due = expiry end
  else
    call('SET', item, lead .. struct.pack('>dd', now, 0) .. payload)
    if due then call('ZREM', EXPIRIES, name) end
  end
  call('ZADD', CHANGES, revision, name)
  if head == '' then
    call('ZADD', NAMES, 0, name)
    call('ZREM', GONE, 'd' .. name, 'x' .. name)
  end
end

local function delete(item, name, head)
  call('DEL', item)
  call('ZREM', NAMES, name)
  call('ZREM', CHANGES, name)
  if expiry_of(head) > 0 then call('ZREM', EXPIRIES, name) end
  call('ZADD', GONE, revision, 'd' .. name)
  deleted = deleted + 1
end

-- One write: the \`count\` items after KEYS[k], the operations after ARGV[a].
local function write(k, a, count, fingerprint)
  if newer then return { 'layout', newer } end
  local request = fingerprint ~= '' and KEYS[k + count + 1]
  if request then
    local saved = call('GET', request)
    if saved then
      saved = cmsgpack.unpack(saved)
      if saved[1] ~= fingerprint then return { 'reused' } end
      return { 'done', saved[2], saved[3] }
    end
  end

  local heads, found, effects = {}, {}, 0
  for i = 1, count do
    local at = a + i * 4
    local verb, condition = string.byte(ARGV[at - 3], 1, 2)
    local head = call('GETRANGE', KEYS[k + i], 0, 63)
    if condition == 101 and (head == '' or etag_of(head) ~= ARGV[at - 2]) then return { 'etag', i - 1 } end
    if condition == 97 and head ~= '' then return { 'exists', i - 1 } end
    if condition == 120 and head == '' then return { 'absent', i - 1 } end
    heads[i] = head
    found[i] = head == '' and '0' or '1'
    if verb == 115 or (verb == 100 and head ~= '') then effects = effects + 1 end
  end

  -- The first write is one that Redis may refuse when memory is full, or a deletion, which it never does: all or nothing.
  local etag = ''
  if effects > 0 then
    advance()
    changes = changes + effects
    etag = epoch .. '-' .. string.format('%x', revision)
    local lead = struct.pack('>B', #etag) .. etag
    for i = 1, count do
      local at = a + i * 4
      local verb, item, head = string.byte(ARGV[at - 3], 1), KEYS[k + i], heads[i]
      local name = string.sub(item, #ITEM + 1)
      if verb == 115 then
        set(item, name, head, lead, tonumber(ARGV[at - 1]), ARGV[at])
        messages[#messages + 1] = name
      elseif verb == 100 and head ~= '' then
        delete(item, name, head)
        messages[#messages + 1] = name
      end
    end
  end
  found = table.concat(found)
  if request then call('SET', request, cmsgpack.pack({ fingerprint, etag, found }), 'PX', ARGV[3]) end
  return { 'done', etag, found }
end

local answers, k, a = {}, ${fixedKeyCount}, 3
while a < #ARGV do
  local count, fingerprint = tonumber(ARGV[a + 1]), ARGV[a + 2]
  answers[#answers + 1] = write(k, a + 2, count, fingerprint)
  k = k + count + (fingerprint == '' and 0 or 1)
  a = a + 2 + count * 4
end

if changes > 0 then
  if due and due <= now then
    local buried = bury(16)
    deleted = deleted + buried
    due = next_due()
    if buried > 0 then messages = {} end
  end
  if deleted > 0 then trim_tombstones(HISTORY) end
  commit(#messages <= 16 and table.concat(messages, '\\0') or '')
end
return answers
`,
  { write: true },
);

/**
 * Buries what has expired, at most so many, and says where the keyspace stands. ARGV: run, how many tombstones to keep, limit.
 * Answers epoch, revision, and ms until the next expiry (-1: none).
 */
export const sweepScript = defineScript(
  /* lua */ `${lib}${writing}
if newer_layout() then return { epoch, revision, -1 } end
if due and due <= now then
  local first = next_due()
  if first and first <= now then
    advance()
    bury(tonumber(ARGV[3]))
    trim_tombstones(tonumber(ARGV[2]))
    due = next_due()
    commit('')
  elseif first then
    call('HSET', META, 'due', first)
    due = first
  else
    call('HDEL', META, 'due')
    due = nil
  end
end
return { epoch, revision, due and math.max(0, due - now) or -1 }
`,
  { write: true },
);

/** Reads items in one snapshot. KEYS: the items. ARGV: how many bytes of values at most. Answers the items, or how many bytes they have. */
export const getManyScript = defineScript(
  /* lua */ `
local limit, bytes = tonumber(ARGV[1]), 0
for _, item in ipairs(KEYS) do bytes = bytes + redis.call('STRLEN', item) end
if bytes > limit then
  bytes = 0
  for _, item in ipairs(KEYS) do
    local head = redis.call('GETRANGE', item, 0, 63)
    if head ~= '' then
      local at = 18 + string.byte(head, 1)
      bytes = bytes + redis.call('STRLEN', item) - at - 1 - (struct.unpack('>H', head, at))
    end
  end
  if bytes > limit then return bytes end
end
return redis.call('MGET', unpack(KEYS))
`,
  { write: false },
);

/**
 * Reads a page in byte order. ARGV: the exclusive beginning or "", the prefix, how many at most, how many bytes of values at most, "1" to
 * leave values out. Answers whether there is more, the last key it has looked at, then key and item alternating. An item that is missing has
 * expired; if nothing says so, its slot is on the move and the page cannot be had.
 */
export const listScript = defineScript(
  /* lua */ `${lib}
local after, prefix, limit, max_bytes, names_only = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local from = prefix == '' and '-' or '[' .. prefix
if after ~= '' and after >= prefix then from = '(' .. after end
local to = prefix == '' and '+' or '[' .. prefix .. '\\255'
local names = call('ZRANGEBYLEX', NAMES, from, to, 'LIMIT', 0, limit + 1)
local more, last, bytes, out = #names > limit and 1 or 0, '', 0, { 0, '' }
for i = 1, math.min(#names, limit) do
  local name = names[i]
  local item = ITEM .. name
  local value
  if names_only then
    value = call('GETRANGE', item, 0, 319)
    if value == '' then value = nil end
  else
    local length = call('STRLEN', item)
    if length > 0 then
      if bytes + length > max_bytes and #out > 2 then
        if bytes + value_length(item) > max_bytes then
          more = 1
          break
        end
      end
      value = call('GET', item)
      local at = 18 + string.byte(value, 1)
      bytes = bytes + #value - at - 1 - (struct.unpack('>H', value, at))
    end
  end
  if value then
    out[#out + 1] = name
    out[#out + 1] = value
  elseif not call('ZSCORE', EXPIRIES, name) then
    return redis.error_reply('TRYAGAIN the item of a listed key is not here')
  end
  last = name
end
out[1], out[2] = more, last
return out
`,
  { write: false },
);

/**
 * Reads what has changed since a revision. ARGV: epoch, revision, how many bytes of values at most, "k" or "p", the key or prefix. Answers
 * "expired" if that cannot be told any more; else "since", the epoch, the revision up to which the answer is complete, whether that is
 * all, then revision, kind ("i" item, "d" deleted, "x" expired), key, item ("" if gone), in the order of revisions.
 */
export const changesScript = defineScript(
  /* lua */ `${lib}
local step = 512
local from_epoch, from, max_bytes, by_prefix, target = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == 'p', ARGV[5]
local field = call('HMGET', META, 'epoch', 'revision', 'epochs', 'floor')
local epoch, revision, floor = field[1] or '', tonumber(field[2]) or 0, tonumber(field[4]) or 0
local ceiling = revision
if from_epoch ~= epoch then
  ceiling = from_epoch == '' and 0 or -1
  for _, former in ipairs(cjson.decode(field[3] or '[]')) do
    if former[1] == from_epoch then ceiling = former[2] end
  end
end
if from > ceiling or from < floor then return { 'expired' } end

local out = { 'since', epoch, revision, 1 }
local function report(at, kind, name, item)
  local n = #out
  out[n + 1], out[n + 2], out[n + 3], out[n + 4] = at, kind, name, item
end

if not by_prefix then
  local written = tonumber(call('ZSCORE', CHANGES, target) or 0)
  local deleted = tonumber(call('ZSCORE', GONE, 'd' .. target) or 0)
  local expired = tonumber(call('ZSCORE', GONE, 'x' .. target) or 0)
  if written > from then
    local item = call('GET', ITEM .. target)
    if item then report(written, 'i', target, item) end
  elseif math.max(deleted, expired) > from then
    report(math.max(deleted, expired), deleted > expired and 'd' or 'x', target, '')
  end
  return out
end

-- Two logs, merged by revision. A log that was cut short is complete only below the revision at its end.
local written = call('ZRANGEBYSCORE', CHANGES, '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, step)
local gone = call('ZRANGEBYSCORE', GONE, '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, step)
local complete = revision
for _, log in ipairs({ written, gone }) do
  if #log == step * 2 then complete = math.min(complete, tonumber(log[#log]) - 1) end
end
local w, g, bytes, last = 1, 1, 0, from
while true do
  local w_at, g_at = tonumber(written[w + 1] or math.huge), tonumber(gone[g + 1] or math.huge)
  local at = math.min(w_at, g_at)
  if at > complete then break end
  if bytes > max_bytes and at > last then
    complete = last
    break
  end
  last = at
  if w_at <= g_at then
    local name = written[w]
    w = w + 2
    if string.sub(name, 1, #target) == target then
      local item = call('GET', ITEM .. name)
      if item then
        report(at, 'i', name, item)
        bytes = bytes + #item
      end
    end
  else
    local name = string.sub(gone[g], 2)
    if string.sub(name, 1, #target) == target then report(at, string.sub(gone[g], 1, 1), name, '') end
    g = g + 2
  end
end
out[3] = complete
out[4] = complete == revision and 1 or 0
return out
`,
  { write: false },
);
