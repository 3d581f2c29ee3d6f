import { defineScript } from "../script.js";
import { topicKeyCount, topicLibrary } from "./layout.js";

/**
 * Publishes entries to a topic: each once within the time that ids are remembered. ARGV: run, that time in ms, the first of as many marks as there
 * are entries, and per entry: payload, ordering key, delay in ms, ttl in ms ("" for what it has not). After the fixed keys come the `seen`
 * keys. Answers 1 per entry that was there before, else 0. An entry finds its own mark when the script is sent a second time since
 * the answer was lost, and is no duplicate then.
 */
export const publishScript = defineScript(
  /* lua */ `${topicLibrary}
local last = call('HMGET', TOPIC, 'time', 'count', 'epoch')
local ms, count = math.max(now, tonumber(last[1]) or 0), tonumber(last[2]) or 0
local published, answers = false, {}
for i = 1, #KEYS - ${topicKeyCount} do
  local mark = string.format('%.0f', ARGV[3] + i)
  -- The first write, which Redis may refuse when memory is full: all or nothing.
  local was = call('SET', KEYS[${topicKeyCount} + i], mark, 'NX', 'GET', 'PX', ARGV[2])
  answers[i] = (was and was ~= mark) and 1 or 0
  if not was then
    local a = 4 * i
    local key, delay, ttl = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
    local entry = { 'p', ARGV[a] }
    if key ~= '' then entry[#entry + 1] = 'k'; entry[#entry + 1] = key end
    if delay ~= '' then entry[#entry + 1] = 'd'; entry[#entry + 1] = now + delay end
    if ttl ~= '' then entry[#entry + 1] = 'x'; entry[#entry + 1] = now + ttl end
    count = count + 1
    call('XADD', LOG, ms .. '-' .. count, unpack(entry))
    published = true
  end
end
if published then
  call('HSET', TOPIC, 'time', ms, 'count', count, 'epoch', last[3] or ARGV[3])
  announce('')
end
return answers
`,
  { write: true },
);
