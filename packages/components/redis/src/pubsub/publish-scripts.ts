import { pubsubLimits } from "@mecha/component";
import { defineScript } from "../script.js";
import { topicKeyCount, topicLibrary } from "./layout.js";

/** How many keys {@link publishLibrary} needs of a topic, and how many arguments of an entry. */
const publishKeyCount = topicKeyCount + 2;
const entryArguments = 5;

/**
 * Publishing, for any script that has `call` and `now`: also for a transaction of the state block.
 *
 * What was published within {@link pubsubLimits.dedupMs} is in two hashes, one for this span of that length and one for the span before, from a
 * digest of source and id to the time and a mark. So a batch is looked up in two commands, and forgetting one is unlinking a key.
 */
export const publishLibrary = /* lua */ `
local SPAN_MS = ${pubsubLimits.dedupMs}
local PUBLISH_KEYS, ENTRY_ARGUMENTS = ${publishKeyCount}, ${entryArguments}

-- This span, its hash, and the one before; unlinks what is older. A topic's keys come after KEYS[k].
local function seen_spans(k, ms, was)
  local span = math.floor(ms / SPAN_MS)
  local first = k + ${topicKeyCount + 1}
  local this, before = KEYS[first + span % 2], KEYS[first + (span + 1) % 2]
  if was and span ~= was then
    call('UNLINK', this)
    if span ~= was + 1 then call('UNLINK', before) end
  end
  return span, this, before
end

-- Publishes \`count\` entries to the topic whose keys come after KEYS[k], each source and id once. From ARGV[a] on they have: digest, payload,
-- ordering key, delay in ms, ttl in ms ("" for what it has not). Returns 1 per entry that was there before, else 0. Their marks are counted
-- from \`mark\`: an entry that finds its own is no duplicate, the command was sent a second time since the first answer was lost.
local function publish(k, a, count, mark)
  local topic, log = KEYS[k + 1], KEYS[k + 2]
  local last = call('HMGET', topic, 'time', 'count', 'span')
  local ms, position = math.max(now, tonumber(last[1]) or 0), tonumber(last[2]) or 0
  local lead, digests, answers, marks, own = string.format('%d-', ms), {}, {}, {}, {}
  for i = 1, count do digests[i] = ARGV[a + (i - 1) * ENTRY_ARGUMENTS] end
  local span, this, before = seen_spans(k, ms, tonumber(last[3]))
  local recent, older = call('HMGET', this, unpack(digests)), call('HMGET', before, unpack(digests))

  -- Whether an entry was published, and whether by this very command.
  local function find(i)
    if own[digests[i]] then return true, false end
    local found = recent[i] or older[i]
    if not found then return false end
    local time, number = struct.unpack('>dI4', found)
    if time <= ms - SPAN_MS then return false end
    return true, number == (mark + i) % 4294967296
  end

  for i = 1, count do
    local was, is_own = find(i)
    answers[i] = (was and not is_own) and 1 or 0
    if not was then
      local at = a + (i - 1) * ENTRY_ARGUMENTS
      local key, delay, ttl = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
      local entry = { 'p', ARGV[at + 1] }
      if key ~= '' then entry[3] = 'k'; entry[4] = key end
      if delay ~= '' then entry[#entry + 1] = 'd'; entry[#entry + 1] = now + delay end
      if ttl ~= '' then entry[#entry + 1] = 'x'; entry[#entry + 1] = now + ttl end
      position = position + 1
      -- The first write, which Redis may refuse when memory is full: all or nothing.
      call('XADD', log, lead .. string.format('%d', position), unpack(entry))
      own[digests[i]] = true
      marks[#marks + 1] = digests[i]
      marks[#marks + 1] = struct.pack('>dI4', ms, (mark + i) % 4294967296)
    end
  end
  if #marks > 0 then
    call('HSET', this, unpack(marks))
    call('HSET', topic, 'time', ms, 'count', position, 'span', span)
    -- For the groups that wait; a user without the right to is heard at their next look.
    redis.pcall('SPUBLISH', string.sub(topic, 1, -6) .. 'arrived', '')
  end
  return answers
end
`;

/** Publishes entries to a topic. ARGV: run, a random number from which marks are counted, and the entries. */
export const publishScript = defineScript(
  /* lua */ `${topicLibrary}${publishLibrary}
return publish(0, 3, (#ARGV - 2) / ENTRY_ARGUMENTS, tonumber(ARGV[2]))
`,
  { write: true },
);

/** Forgets what was seen longer ago than it counts. */
export const forgetSeenScript = defineScript(
  /* lua */ `${topicLibrary}${publishLibrary}
local last = call('HMGET', TOPIC, 'time', 'span')
local was = tonumber(last[2])
if not was then return 0 end
local span = seen_spans(0, math.max(now, tonumber(last[1]) or 0), was)
if span ~= was then call('HSET', TOPIC, 'span', span) end
return 1
`,
  { write: true },
);
