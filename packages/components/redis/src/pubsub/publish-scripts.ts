import { pubsubLimits } from "@mecha/component";
import { defineScript } from "../script.js";
import { topicKeyCount, topicLibrary } from "./layout.js";

/**
 * What was published within {@link pubsubLimits.dedupMs}: two hashes, one for this span of that length and one for the span before, from a digest of
 * source and id to the time and a mark. So a batch is looked up in two commands, and forgetting one is unlinking a key.
 */
const dedup = /* lua */ `
local SPAN_MS = ${pubsubLimits.dedupMs}

-- The hashes of this span and of the one before; unlinks what is older.
local function seen_spans(first, ms, was)
  local span = math.floor(ms / SPAN_MS)
  local this, before = KEYS[first + span % 2], KEYS[first + (span + 1) % 2]
  if was and span ~= was then
    call('UNLINK', this)
    if span ~= was + 1 then call('UNLINK', before) end
  end
  return span, this, before
end
`;

/**
 * Publishes entries to a topic, each source and id once. ARGV: run, a random number from which the entries' marks are counted, and per entry: digest,
 * payload, ordering key, delay in ms, ttl in ms ("" for what it has not). Behind the topic's keys come those of what was seen. Answers
 * 1 per entry that was there before, else 0. An entry that finds its own mark is no duplicate: the script was sent a second time since
 * the first answer was lost.
 */
export const publishScript = defineScript(
  /* lua */ `${topicLibrary}${dedup}
local last = call('HMGET', TOPIC, 'time', 'count', 'epoch', 'span')
local ms, count = math.max(now, tonumber(last[1]) or 0), tonumber(last[2]) or 0
local MARK, ID = tonumber(ARGV[2]), string.format('%d-', ms)
local digests, answers, marks, entries = {}, {}, {}, 0
for a = 3, #ARGV, 5 do digests[#digests + 1] = ARGV[a] end
local span, this, before = seen_spans(${topicKeyCount + 1}, ms, tonumber(last[4]))
local recent, older, own = call('HMGET', this, unpack(digests)), call('HMGET', before, unpack(digests)), {}

-- Whether an entry was published: by somebody, or by this very command.
local function find(i)
  if own[digests[i]] then return true, false end
  local mark = recent[i] or older[i]
  if not mark then return false end
  local time, number = struct.unpack('>dI4', mark)
  if time <= ms - SPAN_MS then return false end
  return true, number == (MARK + i) % 4294967296
end

for i = 1, #digests do
  local was, is_own = find(i)
  answers[i] = (was and not is_own) and 1 or 0
  if not was then
    local a = i * 5 - 2
    local key, delay, ttl = ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
    local entry = { 'p', ARGV[a + 1] }
    if key ~= '' then entry[3] = 'k'; entry[4] = key end
    if delay ~= '' then entry[#entry + 1] = 'd'; entry[#entry + 1] = now + delay end
    if ttl ~= '' then entry[#entry + 1] = 'x'; entry[#entry + 1] = now + ttl end
    entries = entries + 1
    -- The first write, which Redis may refuse when memory is full: all or nothing.
    call('XADD', LOG, ID .. string.format('%d', count + entries), unpack(entry))
    own[digests[i]] = true
    marks[#marks + 1] = digests[i]
    marks[#marks + 1] = struct.pack('>dI4', ms, (MARK + i) % 4294967296)
  end
end
if entries > 0 then
  call('HSET', this, unpack(marks))
  call('HSET', TOPIC, 'time', ms, 'count', count + entries, 'epoch', last[3] or MARK, 'span', span)
  announce('')
end
return answers
`,
  { write: true },
);

/** Forgets what was seen longer ago than it counts. */
export const forgetSeenScript = defineScript(
  /* lua */ `${topicLibrary}${dedup}
local last = call('HMGET', TOPIC, 'time', 'span')
local was = tonumber(last[2])
if not was then return 0 end
local span = seen_spans(${topicKeyCount + 1}, math.max(now, tonumber(last[1]) or 0), was)
if span ~= was then call('HSET', TOPIC, 'span', span) end
return 1
`,
  { write: true },
);
