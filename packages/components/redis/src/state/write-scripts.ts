import { publishLibrary } from "../pubsub/publish-scripts.js";
import { defineScript } from "../script.js";
import { fixedKeyCount, keyspaceLibrary, layoutVersion } from "./layout.js";

/** How many former runs of the server are remembered, for watchers that resume across restarts. */
const maxEpochs = 8;

/** Taking revisions. The caller has checked all it must before `advance`: from there on, nothing may fail. */
const writing = /* lua */ `
local RUN = '${layoutVersion}:' .. ARGV[1]
local field = call('HMGET', META, 'epoch', 'revision', 'run', 'due')
local epoch, revision, same_run, due = field[1] or '', tonumber(field[2]) or 0, field[3] == RUN, tonumber(field[4])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
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
    epoch = string.format('%x', time[1] * 1000000 + time[2])
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
  redis.pcall('SPUBLISH', TAG .. ':changed', message)
end
`;

/**
 * Does the writes of several callers, each of them as a whole or not at all, and independently of the others. ARGV: run, how many
 * tombstones to keep, lifetime of request ids, then per write: how many operations, "=" and the fingerprint or "", to how many topics it publishes,
 * and per operation: what and the payload. "What" is a letter for what to do (s, d, c), one for what must hold (n, e, a, x), the ttl if
 * there is one, and, if it must hold, "=" and the etag. Then come, per topic: how many entries, a number from which marks are counted, and
 * the entries. After the fixed keys come, per write, the items, if it has a fingerprint the request, and the keys of its topics. Answers per write: "done", etag, a digit per operation (whether it was there); or what did
 * not hold and for which operation.
 */
export const writeScript = defineScript(
  /* lua */ `${keyspaceLibrary}${writing}${publishLibrary}
local SET, DELETE, ETAG, ABSENT, EXISTS = string.byte('sdeax', 1, 5)
local HISTORY = tonumber(ARGV[2])
local newer = newer_layout()
local changes, deleted, messages = 0, 0, {}

local function set(item, name, existed, lead, ttl, payload)
  if ttl then
    local expiry = now + ttl
    call('SET', item, lead .. struct.pack('>dd', now, expiry) .. payload, 'PXAT', expiry)
    call('ZADD', EXPIRIES, expiry, name)
    if not due or expiry < due then due = expiry end
  else
    call('SET', item, lead .. struct.pack('>dd', now, 0) .. payload)
    if due then call('ZREM', EXPIRIES, name) end
  end
  call('ZADD', CHANGES, revision, name)
  if not existed then
    call('ZADD', NAMES, 0, name)
    call('ZREM', GONE, 'd' .. name, 'x' .. name)
  end
end

local function delete(item, name)
  call('DEL', item)
  call('ZREM', NAMES, name)
  call('ZREM', CHANGES, name)
  if due then call('ZREM', EXPIRIES, name) end
  call('ZADD', GONE, revision, 'd' .. name)
  deleted = deleted + 1
end

-- One write: the \`count\` items after KEYS[k], the operations after ARGV[a], and then \`topics\` to which it publishes.
local function write(k, a, count, fingerprint, topics)
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

  local existed, found, effects = {}, {}, 0
  for i = 1, count do
    local what, item = ARGV[a + i * 2 - 1], KEYS[k + i]
    local verb, condition = string.byte(what, 1, 2)
    local exists
    if condition == ETAG then
      local head = call('GETRANGE', item, 0, 63)
      exists = head ~= ''
      if not exists or etag_of(head) ~= string.match(what, '=(.*)') then return { 'etag', i - 1 } end
    else
      exists = call('EXISTS', item) == 1
      if condition == ABSENT and exists then return { 'exists', i - 1 } end
      if condition == EXISTS and not exists then return { 'absent', i - 1 } end
    end
    existed[i] = exists
    found[i] = exists and '1' or '0'
    if verb == SET or (verb == DELETE and exists) then effects = effects + 1 end
  end

  -- The first write is one that Redis may refuse when memory is full, or a deletion, which it never does: all or nothing.
  local etag = ''
  if effects > 0 then
    advance()
    changes = changes + effects
    etag = epoch .. '-' .. string.format('%x', revision)
    local lead = struct.pack('>B', #etag) .. etag
    for i = 1, count do
      local what, payload, item = ARGV[a + i * 2 - 1], ARGV[a + i * 2], KEYS[k + i]
      local verb, name = string.byte(what, 1), string.sub(item, #ITEM + 1)
      if verb == SET then
        local ttl = #what > 2 and tonumber(string.match(what, '^..(%d+)'))
        set(item, name, existed[i], lead, ttl, payload)
        messages[#messages + 1] = name
      elseif verb == DELETE and existed[i] then
        delete(item, name)
        messages[#messages + 1] = name
      end
    end
  end
  k, a = k + count + (request and 1 or 0), a + count * 2
  for _ = 1, topics do
    local entries = tonumber(ARGV[a + 1])
    publish(k, a + 3, entries, tonumber(ARGV[a + 2]))
    k, a = k + PUBLISH_KEYS, a + 2 + entries * ENTRY_ARGUMENTS
  end
  found = table.concat(found)
  if request then call('SET', request, cmsgpack.pack({ fingerprint, etag, found }), 'PX', ARGV[3]) end
  return { 'done', etag, found }
end

local answers, k, a = {}, ${fixedKeyCount}, 3
while a < #ARGV do
  local count, fingerprint, topics = tonumber(ARGV[a + 1]), ARGV[a + 2], tonumber(ARGV[a + 3])
  answers[#answers + 1] = write(k, a + 3, count, fingerprint, topics)
  k = k + count + (fingerprint == '' and 0 or 1) + topics * PUBLISH_KEYS
  a = a + 3 + count * 2
  for _ = 1, topics do a = a + 2 + ARGV[a + 1] * ENTRY_ARGUMENTS end
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
  /* lua */ `${keyspaceLibrary}${writing}
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
