import { defineScript } from "../script.js";
import { groupLibrary } from "./layout.js";

/** A lease counts while it has not ended, also before somebody else takes what it holds. */
const leases = /* lua */ `${groupLibrary}
local function holds(text, due, token)
  return text and due and tonumber(due) > now and string.sub(text, 1, #token + 1) == token .. '|'
end
`;

/**
 * Settles leases. ARGV: run, the group's native name, and per settlement: "a" (ack), "r" (retry), "d" (dead) or "l" (release), id, token, the delay of a
 * retry in ms, the error. Answers per settlement 1 if it counted, else 0.
 */
export const settleScript = defineScript(
  /* lua */ `${leases}
local count = (#ARGV - 2) / 5
local ids, answers, settled, acked, woken = {}, {}, {}, {}, false
for i = 1, count do ids[i] = ARGV[i * 5 - 1] end
local texts, dues = call('HMGET', HELD, unpack(ids)), call('ZMSCORE', DUE, unpack(ids))

local function give_up(id, record, error)
  local payload, key = payload_of(id, record)
  if error == '' then error = record.error end
  call('XADD', DEAD, '*', 'p', payload or '', 'k', key or '', 'a', record.attempts, 'e', error, 'i', id)
  woken = finish(id, record) or woken
end

local function come_again(id, record, due)
  record.token, record.due = '-', 0
  call('HSET', HELD, id, to_record(record))
  call('ZADD', DUE, due, id)
  woken = true
end

for i = 1, count do
  local a, id = i * 5 - 2, ids[i]
  local verb, token, text = ARGV[a], ARGV[a + 2], texts[i]
  answers[i] = 0
  if not settled[id] and holds(text, dues[i], token) then
    settled[id] = true
    answers[i] = 1
    local record = parse_record(text)
    if verb == 'a' then
      -- What is needed of most is done to all of them at once.
      if record.kept == '0' and record.key == '' then acked[#acked + 1] = id else woken = finish(id, record) or woken end
    elseif verb == 'r' then
      record.error = ARGV[a + 4]
      come_again(id, record, now + ARGV[a + 3])
    elseif verb == 'd' then
      give_up(id, record, ARGV[a + 4])
    else
      record.attempts = record.attempts - 1
      come_again(id, record, 0)
    end
  end
end
if #acked > 0 then
  call('HDEL', HELD, unpack(acked))
  call('ZREM', DUE, unpack(acked))
  call('XACK', LOG, GROUP, unpack(acked))
end
if woken then announce(string.match(GROUP, '#(.*)$')) end
return answers
`,
  { write: true },
);

/** Makes leases end later. ARGV: run, the group's native name, in how many ms, and per lease: id, token. Answers per lease 1 if it counted, else 0. */
export const extendScript = defineScript(
  /* lua */ `${leases}
local answers = {}
for a = 4, #ARGV, 2 do
  local id, token = ARGV[a], ARGV[a + 1]
  local counts = holds(call('HGET', HELD, id), call('ZSCORE', DUE, id), token)
  if counts then call('ZADD', DUE, now + ARGV[3], id) end
  answers[#answers + 1] = counts and 1 or 0
end
return answers
`,
  { write: true },
);
