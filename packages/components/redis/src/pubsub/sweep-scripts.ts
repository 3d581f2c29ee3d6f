import { defineScript } from "../script.js";
import { groupLibrary, topicLibrary } from "./layout.js";

/**
 * Lets the log go on without what a group has held since before the retention: it keeps that itself from now on. ARGV: run, the group's native name,
 * the retention in ms, at most how many, "1" if the group is ordered. Answers how many it was.
 */
export const keepOldScript = defineScript(
  /* lua */ `${groupLibrary}
if call('HEXISTS', TOPIC, 'g:' .. string.match(GROUP, '#(.*)$')) == 0 then return 0 end
local old = call('XPENDING', LOG, GROUP, '-', '(' .. (now - ARGV[3]) .. '-0', ARGV[4])
for _, pending in ipairs(old) do
  local id, consumer = pending[1], pending[2]
  local entry, text = call('XRANGE', LOG, id, id)[1], call('HGET', HELD, id)
  if entry then
    local payload, key, _, expiry = parse_event(entry[2])
    local record = text and parse_record(text)
    if not record then
      -- The first lease of its claim goes on, as one of its own.
      record = { token = consumer, attempts = 1, key = ARGV[5] == '1' and key or '', error = '' }
      call('ZADD', DUE, call('ZSCORE', DUE, 'c' .. consumer), id)
    end
    keep(id, key, expiry, payload)
    record.kept = '1'
    hold(id, record)
  end
  call('XACK', LOG, GROUP, id)
end
return #old
`,
  { write: true },
);

/**
 * Forgets what is older than the retention and no group needs, some at a time. ARGV: run, the retention in ms. Answers how many events it
 * forgot; 0: all that it may.
 */
export const trimScript = defineScript(
  /* lua */ `${topicLibrary}
if call('EXISTS', LOG) == 0 then return 0 end
-- The oldest event that stays.
local ms, position = now - ARGV[2], 0
local function needs(id, offset)
  local its_ms, its_position = parse_id(id)
  its_ms, its_position = tonumber(its_ms), its_position + offset
  if its_ms < ms or (its_ms == ms and its_position < position) then ms, position = its_ms, its_position end
end
for _, group in ipairs(call('XINFO', 'GROUPS', LOG)) do
  local info = {}
  for i = 1, #group, 2 do info[group[i]] = group[i + 1] end
  needs(info['last-delivered-id'], 1)
  if info.pending > 0 then needs(call('XPENDING', LOG, info.name)[2], 0) end
end
local oldest = ms .. '-' .. position
local forgotten = call('XTRIM', LOG, 'MINID', '~', oldest, 'LIMIT', 1000)
-- Whole nodes first, which costs next to nothing; then what is left of one.
if forgotten == 0 then forgotten = call('XTRIM', LOG, 'MINID', oldest) end
return forgotten
`,
  { write: true },
);
