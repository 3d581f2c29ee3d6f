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
 * or only "deleted", or "lost", if there is no such group.
 */
export const claimScript = defineScript(
  /* lua */ `${groupLibrary}
local ORDERED, TOKEN = ARGV[3] == '1', ARGV[4]
local LIMIT, MAX_BYTES, LEASE_END = tonumber(ARGV[5]), tonumber(ARGV[6]), now + ARGV[7]
local leases, count, first_claims, bytes, full = { 0 }, 0, 0, 0, false

local function fits(size)
  full = count >= LIMIT or (count > 0 and bytes + size > MAX_BYTES)
  return not full
end

local function lease(id, attempt, key, payload)
  bytes = bytes + #payload
  count = count + 1
  local at = #leases
  leases[at + 1], leases[at + 2], leases[at + 3], leases[at + 4] = id, attempt, key, payload
end

-- Takes events out of the claim that looked at them.
local function take_out(ids)
  if #ids == 0 then return end
  ids[#ids + 1] = 'JUSTID'
  call('XCLAIM', LOG, GROUP, 'mecha', 0, unpack(ids))
end

-- Ends the leases of a claim: what is left of it comes back, after so many attempts.
local function end_claim(token, attempts)
  local ids = {}
  for _, pending in ipairs(call('XPENDING', LOG, GROUP, '-', '+', ${claimLimit}, token)) do
    local id, key = pending[1], ''
    ids[#ids + 1] = id
    if ORDERED then
      local entry = call('XRANGE', LOG, id, id)[1]
      if entry then key = select(2, parse_event(entry[2])) end
    end
    hold(id, { token = '-', attempts = attempts, kept = '0', key = key, error = '' })
    call('ZADD', DUE, 0, id)
  end
  take_out(ids)
  call('XGROUP', 'DELCONSUMER', LOG, GROUP, token)
  call('ZREM', DUE, 'c' .. token)
end

-- Hands back what was leased by claims whose answer never came: it was not tried.
local function hand_back(lost)
  for token in pairs(lost) do
    if call('ZSCORE', DUE, 'c' .. token) then end_claim(token, 0) end
  end
  for _, id in ipairs(call('ZRANGE', DUE, '(' .. now, '+inf', 'BYSCORE')) do
    local text = call('HGET', HELD, id)
    local record = text and parse_record(text)
    if record and lost[record.token] then
      record.token, record.attempts = '-', record.attempts - 1
      hold(id, record)
      call('ZADD', DUE, 0, id)
    end
  end
end

-- An event that may not be taken yet. It is not held in the log: a long delay would keep all that comes after it there too.
local function postpone(id, record, payload, key, due, expiry)
  keep(id, key, expiry, payload)
  record.kept = '1'
  hold(id, record)
  call('ZADD', DUE, due, id)
  call('XACK', LOG, GROUP, id)
end

-- Leases an event that comes back. Whether it was passed over instead.
local function lease_again(id)
  local record = parse_record(call('HGET', HELD, id))
  local payload, key, due, expiry = event_of(id, record)
  if not payload or (expiry ~= 0 and expiry <= now) then
    finish(id, record)
    return true
  elseif due > now and record.attempts == 0 then
    postpone(id, record, payload, key, due, expiry)
    return true
  elseif fits(#payload) then
    record.token, record.attempts = TOKEN, record.attempts + 1
    hold(id, record)
    call('ZADD', DUE, LEASE_END, id)
    if record.kept == '0' then call('XCLAIM', LOG, GROUP, 'mecha', 0, id, 'RETRYCOUNT', record.attempts, 'JUSTID') end
    lease(id, record.attempts, key, payload)
  end
  return false
end

-- Leases what comes back. How many of it were none: each may have let others go.
local function claim_returned()
  local passed = 0
  for _, member in ipairs(call('ZRANGE', DUE, '-inf', now, 'BYSCORE', 'LIMIT', 0, LIMIT - count)) do
    if full then break end
    if string.sub(member, 1, 1) == 'c' then
      passed = passed + 1
      end_claim(string.sub(member, 2), 1)
    elseif lease_again(member) then passed = passed + 1 end
  end
  return passed
end

-- Takes an event that the group has not looked at; what it does not lease, another consumer holds or nobody any more. Whether it goes on.
local function claim_new(id, fields, waiting)
  local payload, key, due, expiry = parse_event(fields)
  if expiry ~= 0 and expiry <= now then
    call('XACK', LOG, GROUP, id)
    return true
  end
  local is_due, own_key = due <= now, ORDERED and key or ''
  if is_due and not fits(#payload) then return false end
  local is_ahead = own_key == '' or call('HSETNX', HEADS, key, id) == 1
  if is_due and is_ahead then
    lease(id, 1, key, payload)
    first_claims = first_claims + 1
    return true
  end
  local record = { token = '-', attempts = 0, kept = '0', key = own_key, error = '' }
  if is_ahead then
    postpone(id, record, payload, key, due, expiry)
  else
    put_behind(key, id)
    hold(id, record)
    waiting[#waiting + 1] = id
  end
  return true
end

-- Reads a page of the log. Up to where the group has looked then, and how many events it were.
local function claim_page(size, published)
  local reply = call('XREADGROUP', 'GROUP', GROUP, TOKEN, 'COUNT', size, 'STREAMS', LOG, '>')
  -- Somebody else has cut the log.
  if not reply then return published, 0 end
  local page, waiting = reply[1][2], {}
  local _, looked = parse_id(page[#page][1])
  for i, entry in ipairs(page) do
    if not claim_new(entry[1], entry[2], waiting) then
      local ms, position = parse_id(entry[1])
      looked = position - 1
      call('XGROUP', 'SETID', LOG, GROUP, ms .. '-' .. looked, 'ENTRIESREAD', looked)
      for j = i, #page do call('XACK', LOG, GROUP, page[j][1]) end
      break
    end
  end
  take_out(waiting)
  return looked, #page
end

local _, group_id = string.match(GROUP, '^(.*)#(.*)$')
local standing = call('HMGET', TOPIC, 'count', 'g:' .. group_id)
local published, looked = tonumber(standing[1]) or 0, tonumber(standing[2])
if not looked then return { call('EXISTS', KEYS[10]) == 1 and 'deleted' or 'lost' } end

if #ARGV > 7 then
  local lost = {}
  for i = 8, #ARGV do lost[ARGV[i]] = true end
  hand_back(lost)
end
local scanned = 0
repeat
  local passed = claim_returned()
  scanned = scanned + passed
until passed == 0 or full or scanned >= ${scanLimit}

local was, page = looked, ${firstPage}
while looked < published and not full and count < LIMIT and scanned < ${scanLimit} do
  if count > 0 then page = math.min(page, math.max(0, math.ceil((MAX_BYTES - bytes) / (bytes / count + 1))) + 1) end
  local read
  looked, read = claim_page(math.min(page, LIMIT - count), published)
  scanned = scanned + read
  page = page * 4
end
if looked ~= was then
  call('HSET', TOPIC, 'g:' .. group_id, looked)
  if first_claims > 0 then call('ZADD', DUE, LEASE_END, 'c' .. TOKEN) else call('XGROUP', 'DELCONSUMER', LOG, GROUP, TOKEN) end
end

if looked == published and not full and count < LIMIT and scanned < ${scanLimit} then
  local first = call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  leases[1] = first[2] and math.max(0, first[2] - now) or -1
end
return leases
`,
  { write: true },
);
