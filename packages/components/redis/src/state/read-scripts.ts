import { defineScript } from "../script.js";
import { itemLibrary, keyspaceLibrary } from "./layout.js";

/** Reads items in one snapshot. KEYS: the items. ARGV: how many bytes of values at most. Answers the items, or how many bytes they have. */
export const getManyScript = defineScript(
  /* lua */ `${itemLibrary}
local limit, bytes = tonumber(ARGV[1]), 0
for _, item in ipairs(KEYS) do bytes = bytes + call('STRLEN', item) end
if bytes > limit then
  bytes = 0
  for _, item in ipairs(KEYS) do
    local head = call('GETRANGE', item, 0, 63)
    if head ~= '' then bytes = bytes + value_length(head, call('STRLEN', item)) end
  end
  if bytes > limit then return bytes end
end
return call('MGET', unpack(KEYS))
`,
  { write: false },
);

/**
 * Reads a page in byte order. ARGV: the exclusive beginning or "", the prefix, how many at most, how many bytes of values at most, "1" to
 * leave values out. Answers whether there is more, the last key it has looked at, then key and item alternating. An item that is missing has
 * expired; if nothing says so, its slot is on the move and the page cannot be had.
 */
export const listScript = defineScript(
  /* lua */ `${keyspaceLibrary}
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
      -- The head is only asked for where it decides.
      if bytes + length > max_bytes and #out > 2 and bytes + value_length(call('GETRANGE', item, 0, 63), length) > max_bytes then
        more = 1
        break
      end
      value = call('GET', item)
      bytes = bytes + value_length(value, length)
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
  /* lua */ `${keyspaceLibrary}
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
