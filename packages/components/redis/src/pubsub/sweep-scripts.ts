import { defineScript } from "../script.js";
import { groupLibrary, topicLibrary } from "./layout.js";

/**
 * Lets the log go on without what a group has held since before the retention: it keeps that itself from now on. ARGV: run, the group's native name,
 * the retention in ms, at most how many. Answers how many it was.
 */
export const keepOldScript = defineScript(
  /* lua */ `${groupLibrary}
if not redis.call('HGET', GROUPS, string.match(GROUP, '^(.*)#')) then return 0 end
local old = call('XPENDING', LOG, GROUP, '-', '(' .. (now - ARGV[3]) .. '-0', ARGV[4])
for _, pending in ipairs(old) do
  local id = pending[1]
  local record = parse_record(call('HGET', HELD, id))
  local payload, key = payload_of(id, record)
  if payload then
    keep(id, key, payload)
    record.kept = '1'
    call('HSET', HELD, id, to_record(record))
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
