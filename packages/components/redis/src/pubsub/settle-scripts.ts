import { defineScript } from "../script.js";
import { groupLibrary } from "./layout.js";

/** A lease counts while it has not ended, also before somebody else takes what it holds. */
const leases = /* lua */ `${groupLibrary}
local live = {}

-- Whether the first leases of a claim have not ended.
local function is_live(token)
  if live[token] == nil then live[token] = (tonumber(call('ZSCORE', DUE, 'c' .. token) or 0) > now) end
  return live[token]
end

-- The record of an event that is leased under this token; nothing if it is not. Takes it out of its claim, if it still is under that.
local function take(id, token, key, text)
  if text then
    local record = parse_record(text)
    local due = record.token == token and call('ZSCORE', DUE, id)
    return due and tonumber(due) > now and record or nil
  end
  if not is_live(token) or (key ~= '' and call('HGET', HEADS, key) ~= id) then return nil end
  local taken = call('XCLAIM', LOG, GROUP, 'mecha', 0, id, 'JUSTID')
  return taken[1] and { token = token, attempts = 1, kept = '0', key = key, error = '' } or nil
end
`;

/**
 * Settles leases. ARGV: run, the group's native name, and per settlement: "a" (ack), "r" (retry), "d" (dead) or "l" (release), id, token, ordering key
 * of an ordered group, the delay of a retry in ms, the error. Answers per settlement 1 if it counted, else 0.
 */
export const settleScript = defineScript(
  /* lua */ `${leases}
local answers, woken, has_records = {}, false, call('EXISTS', HELD) == 1

local function come_again(id, record, due)
  record.token = '-'
  hold(id, record)
  call('ZADD', DUE, due, id)
  woken = true
end

local function give_up(id, record, error)
  local payload, key = event_of(id, record)
  if error == '' then error = record.error end
  call('XADD', DEAD, '*', 'p', payload or '', 'k', key or '', 'a', record.attempts, 'e', error, 'i', id)
  woken = finish(id, record) or woken
end

local function settle(verb, id, token, key, after, error)
  local text = has_records and call('HGET', HELD, id)
  -- The one that most are: an ack of a first lease.
  if verb == 'a' and not text then
    if not is_live(token) or call('XACK', LOG, GROUP, id) == 0 then return 0 end
    if key ~= '' then woken = advance(key, id) or woken end
    return 1
  end
  local record = take(id, token, key, text)
  if not record then return 0 end
  has_records = true
  if verb == 'a' then
    woken = finish(id, record) or woken
  elseif verb == 'r' then
    record.error = error
    come_again(id, record, now + after)
  elseif verb == 'd' then
    give_up(id, record, error)
  else
    record.attempts = record.attempts - 1
    come_again(id, record, 0)
  end
  return 1
end

for a = 3, #ARGV, 6 do
  answers[#answers + 1] = settle(ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5])
end
for token, was_live in pairs(live) do
  if was_live and #call('XPENDING', LOG, GROUP, '-', '+', 1, token) == 0 then
    call('XGROUP', 'DELCONSUMER', LOG, GROUP, token)
    call('ZREM', DUE, 'c' .. token)
  end
end
if woken then announce() end
return answers
`,
  { write: true },
);

/**
 * Makes leases end later. ARGV: run, the group's native name, in how many ms, and per lease: id, token, ordering key of an ordered group. Answers per
 * lease 1 if it counted, else 0.
 */
export const extendScript = defineScript(
  /* lua */ `${leases}
local answers = {}
for a = 4, #ARGV, 3 do
  local id = ARGV[a]
  local record = take(id, ARGV[a + 1], ARGV[a + 2], call('HGET', HELD, id))
  if record then
    hold(id, record)
    call('ZADD', DUE, now + ARGV[3], id)
  end
  answers[#answers + 1] = record and 1 or 0
end
return answers
`,
  { write: true },
);
