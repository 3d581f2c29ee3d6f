import { defineScript } from "../script.js";
import { groupLibrary } from "./layout.js";

/** How many events one claim looks at, and leases at most: few enough that no caller of the server waits long behind it. */
const scanLimit = 512;
export const claimLimit = 256;
/** How many events the first read of the log asks for: their sizes are known only then. */
const firstPage = 16;

/**
 * Leases what is ready: first what comes back, then what the group has not looked at yet. ARGV: run, the group's native name, "1" if it is ordered,
 * the token of the new leases, how many, how many bytes, for how long in ms, and the tokens of claims whose answer was lost: what they leased is
 * handed back. Answers, per lease: id, attempt, ordering key, payload; before them: in how many ms there may be more (-1: nothing is in sight),
 * or only "gone" if there is no such group.
 */
export const claimScript = defineScript(
  /* lua */ `${groupLibrary}
local ORDERED, TOKEN = ARGV[3] == '1', ARGV[4]
local LIMIT, MAX_BYTES, LEASE_END = tonumber(ARGV[5]), tonumber(ARGV[6]), now + ARGV[7]
local ids, records, dues, leases, bytes, full = {}, {}, {}, {}, 0, false

local function fits(size)
  full = #ids >= LIMIT or (#ids > 0 and bytes + size > MAX_BYTES)
  if not full then bytes = bytes + size end
  return not full
end

local function lease(id, record, key, payload)
  record.token, record.attempts = TOKEN, record.attempts + 1
  ids[#ids + 1] = id
  records[#records + 1] = id
  records[#records + 1] = to_record(record)
  dues[#dues + 1] = LEASE_END
  dues[#dues + 1] = id
  leases[#leases + 1] = id
  leases[#leases + 1] = record.attempts
  leases[#leases + 1] = key
  leases[#leases + 1] = payload
end

-- Writes what was leased.
local function flush()
  if #records == 0 then return end
  call('HSET', HELD, unpack(records))
  call('ZADD', DUE, unpack(dues))
  records, dues = {}, {}
end

-- Hands back what was leased by claims whose answer never came: it was not tried.
local function hand_back(lost)
  local held = call('ZRANGE', DUE, '(' .. now, '+inf', 'BYSCORE')
  for _, id in ipairs(held) do
    local record = parse_record(call('HGET', HELD, id))
    if lost[record.token] then
      record.token, record.attempts = '-', record.attempts - 1
      call('HSET', HELD, id, to_record(record))
      call('ZADD', DUE, 0, id)
    end
  end
end

-- Leases what comes back. How many it passed over as expired: each may have let another of its key go.
local function claim_returned()
  local passed = 0
  local ready = call('ZRANGE', DUE, '-inf', now, 'BYSCORE', 'LIMIT', 0, LIMIT - #ids)
  for _, id in ipairs(ready) do
    local record = parse_record(call('HGET', HELD, id))
    local payload, key
    if record.expiry == 0 or record.expiry > now then payload, key = payload_of(id, record) end
    if not payload then
      passed = passed + 1
      finish(id, record)
    elseif fits(#payload) then
      lease(id, record, key, payload)
      -- The pending entry tells people the same: its idle time and its attempts.
      if record.kept == '0' then call('XCLAIM', LOG, GROUP, 'mecha', 0, id, 'RETRYCOUNT', record.attempts, 'JUSTID') end
    else break end
  end
  flush()
  return passed
end

-- Takes an event that the group has not looked at. Whether it goes on.
local function claim_new(id, fields, settled)
  local payload, key, due, expiry = parse_event(fields)
  if expiry ~= 0 and expiry <= now then
    settled[#settled + 1] = id
    return true
  end
  local record = { token = '-', attempts = 0, expiry = expiry, due = due, kept = '0', key = ORDERED and key or '', error = '' }
  local is_due = due <= now
  if is_due and not fits(#payload) then return false end
  if record.key ~= '' and call('HSETNX', HEADS, key, id) == 0 then
    if is_due then bytes = bytes - #payload end
    put_behind(key, id)
  elseif is_due then
    lease(id, record, key, payload)
    return true
  else
    -- Not held in the log: a long delay would keep all that comes after it there too.
    keep(id, key, payload)
    record.kept = '1'
    call('ZADD', DUE, due, id)
    settled[#settled + 1] = id
  end
  call('HSET', HELD, id, to_record(record))
  return true
end

-- Reads a page of the log. How many events it had.
local function claim_page(count)
  local reply = call('XREADGROUP', 'GROUP', GROUP, 'mecha', 'COUNT', count, 'STREAMS', LOG, '>')
  if not reply then return 0 end
  local page, settled = reply[1][2], {}
  for i, entry in ipairs(page) do
    if not claim_new(entry[1], entry[2], settled) then
      local ms, position = parse_id(entry[1])
      call('XGROUP', 'SETID', LOG, GROUP, ms .. '-' .. (position - 1), 'ENTRIESREAD', position - 1)
      for j = i, #page do settled[#settled + 1] = page[j][1] end
      break
    end
  end
  if #settled > 0 then call('XACK', LOG, GROUP, unpack(settled)) end
  return #page
end

local name, group_id = string.match(GROUP, '^(.*)#(.*)$')
if string.match(call('HGET', GROUPS, name) or '', '^[^|]*') ~= group_id then return { 'gone' } end
if #ARGV > 7 then
  local lost = {}
  for i = 8, #ARGV do lost[ARGV[i]] = true end
  hand_back(lost)
end
local looked = 0
repeat
  local passed = claim_returned()
  looked = looked + passed
until passed == 0 or full or looked >= ${scanLimit}
local page = ${firstPage}
while not full and #ids < LIMIT and looked < ${scanLimit} do
  if #ids > 0 then page = math.min(page, math.max(0, math.ceil((MAX_BYTES - bytes) / (bytes / #ids + 1))) + 1) end
  local count = math.min(page, LIMIT - #ids)
  local read = claim_page(count)
  looked = looked + read
  if read < count then break end
  page = page * 4
end
flush()

local next = 0
if not full and #ids < LIMIT and looked < ${scanLimit} then
  local first = call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  next = first[2] and math.max(0, first[2] - now) or -1
end
return { next, unpack(leases) }
`,
  { write: true },
);
