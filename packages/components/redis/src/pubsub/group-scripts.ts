import { defineScript } from "../script.js";
import { groupLibrary, topicLibrary } from "./layout.js";

/**
 * Makes a group, or changes the settings of one. ARGV: run, name, what is stored of it now ("": it must be new), what to store, the id of a new
 * group, and where it starts ("new", "earliest" or a time in ms). Answers what is stored then.
 */
export const openScript = defineScript(
  /* lua */ `${topicLibrary}
local NAME, REPLACES, STORED, ID, START = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local has = call('HGET', GROUPS, NAME) or ''
if has ~= REPLACES then return has end

-- After which event it begins: an id whose position is that event's.
local function start_after()
  local last = call('HMGET', TOPIC, 'time', 'count')
  local newest = last[1] and (last[1] .. '-' .. last[2]) or '0-0'
  if START == 'new' then return newest end
  local first = START == 'earliest' and '-' or START
  local before = first ~= '-' and call('XREVRANGE', LOG, '(' .. first .. '-0', '-', 'COUNT', 1)[1]
  if before then return before[1] end
  local oldest = call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
  if not oldest then return newest end
  local _, position = parse_id(oldest[1])
  return '0-' .. (position - 1)
end

if has == '' then
  local after = start_after()
  local _, position = parse_id(after)
  call('XGROUP', 'CREATE', LOG, NAME .. '#' .. ID, after, 'MKSTREAM', 'ENTRIESREAD', position)
  call('HSET', TOPIC, 'g:' .. ID, position)
end
call('HSET', GROUPS, NAME, STORED)
return STORED
`,
  { write: true },
);

/** How long those who still consume for a deleted group are told so. */
const deletedMs = 7 * 24 * 60 * 60 * 1000;

/** Forgets a group. ARGV: run, its native name. Answers 1 if there was one, else 0. */
export const deleteScript = defineScript(
  /* lua */ `${groupLibrary}
local name, id = string.match(GROUP, '^(.*)#(.*)$')
if call('HDEL', TOPIC, 'g:' .. id) == 0 then return 0 end
call('HDEL', GROUPS, name)
call('XGROUP', 'DESTROY', LOG, GROUP)
call('UNLINK', HELD, DUE, BEHIND, HEADS, KEPT, DEAD)
call('SET', KEYS[10], 1, 'PX', ${deletedMs})
return 1
`,
  { write: true },
);

/** Counts what a group has not looked at or not done. ARGV: its native name. */
export const backlogScript = defineScript(
  /* lua */ `local call, TOPIC, LOG, KEPT = redis.call, KEYS[1], KEYS[2], KEYS[8]
local standing = call('HMGET', TOPIC, 'count', 'g:' .. string.match(ARGV[1], '#(.*)$'))
if not standing[2] then return 0 end
return (standing[1] or 0) - standing[2] + call('XPENDING', LOG, ARGV[1])[1] + call('HLEN', KEPT)
`,
  { write: false },
);

/**
 * Lists dead letters. ARGV: after which id, how many, how many bytes. Answers 1 if there are more, else 0, then per letter: id, payload, ordering
 * key, attempts, error.
 */
export const listDeadScript = defineScript(
  /* lua */ `local call, DEAD = redis.call, KEYS[9]
local LIMIT, MAX_BYTES = tonumber(ARGV[2]), tonumber(ARGV[3])
local after, letters, count, bytes, page = '(' .. ARGV[1], { 0 }, 0, 0, 16
while true do
  local entries = call('XRANGE', DEAD, after, '+', 'COUNT', page)
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    bytes = bytes + #fields[2]
    if count == LIMIT or (count > 0 and bytes > MAX_BYTES) then
      letters[1] = 1
      return letters
    end
    count = count + 1
    for _, value in ipairs({ entry[1], fields[2], fields[4], fields[6], fields[8] }) do letters[#letters + 1] = value end
    after = '(' .. entry[1]
  end
  if #entries < page then return letters end
end
`,
  { write: false },
);

/** Takes dead letters out of what was given up, whose group is ordered if `ORDERED`. */
const exhuming = /* lua */ `${groupLibrary}
local REQUEUE, ORDERED = ARGV[3] == '1', ARGV[4] == '1'

local function exhume(entry)
  local fields = entry[2]
  call('XDEL', DEAD, entry[1])
  if not REQUEUE then return end
  local payload, key, id = fields[2], fields[4], fields[10]
  -- Its delay is over, and its time to live does not count any more: somebody decided that it is wanted.
  local record = { token = '-', attempts = 0, kept = '1', key = ORDERED and key or '', error = '' }
  keep(id, key, 0, payload)
  hold(id, record)
  if record.key ~= '' and call('HSETNX', HEADS, key, id) == 0 then put_behind(key, id) else call('ZADD', DUE, 0, id) end
end
`;

/** Requeues or drops dead letters by their ids. ARGV: run, the group's native name, "1" to requeue, "1" if the group is ordered, and the ids. Answers how many there were. */
export const exhumeScript = defineScript(
  /* lua */ `${exhuming}
local count = 0
for a = 5, #ARGV do
  local entry = call('XRANGE', DEAD, ARGV[a], ARGV[a])[1]
  if entry then
    exhume(entry)
    count = count + 1
  end
end
if REQUEUE and count > 0 then announce() end
return count
`,
  { write: true },
);

/**
 * Requeues or drops the oldest dead letters up to one. ARGV: as of {@link exhumeScript}, then how many, and the id of the last ("": the last that there is
 * now). Answers how many there were, and the id of the last; fewer than asked for: they are all done.
 */
export const exhumeAllScript = defineScript(
  /* lua */ `${exhuming}
local last = ARGV[6]
if last == '' then
  local newest = call('XREVRANGE', DEAD, '+', '-', 'COUNT', 1)[1]
  if not newest then return { 0, '' } end
  last = newest[1]
end
local count = 0
-- One by one: they may be large.
while count < tonumber(ARGV[5]) do
  local entry = call('XRANGE', DEAD, '-', last, 'COUNT', 1)[1]
  if not entry then break end
  exhume(entry)
  count = count + 1
end
if REQUEUE and count > 0 then announce() end
return { count, last }
`,
  { write: true },
);
