import { appMemoryMs } from "@mecha/component";
import { defineScript } from "../script.js";

const timeLibrary = /* lua */ `
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** What scripts know that write a lease. KEYS: the apps, the app's leases, its instances. ARGV: run, app, id. */
const leaseLibrary = /* lua */ `${timeLibrary}
local APPS, LEASES, INSTANCES = KEYS[1], KEYS[2], KEYS[3]
local APP, ID = ARGV[2], ARGV[3]

local function is_live()
  local ends = call('ZSCORE', LEASES, ID)
  return ends and tonumber(ends) > now
end

local function lease_until(ends)
  call('ZADD', LEASES, ends, ID)
  local forgotten = call('ZRANGE', LEASES, -1, -1, 'WITHSCORES')[2] + ${appMemoryMs}
  call('ZADD', APPS, forgotten, APP)
  call('PEXPIREAT', APPS, call('ZRANGE', APPS, -1, -1, 'WITHSCORES')[2])
  call('PEXPIREAT', LEASES, forgotten)
  call('PEXPIREAT', INSTANCES, forgotten)
end

-- Tells those who watch; a user without the right to is heard at their next look.
local function announce()
  redis.pcall('SPUBLISH', string.sub(APPS, 1, -5) .. 'changed', APP)
end
`;

/** Puts an instance there, and forgets what is over. ARGV besides: ttl in ms, what is known of the instance. */
export const registerScript = defineScript(
  /* lua */ `${leaseLibrary}
for _, over in ipairs(call('ZRANGE', LEASES, '-inf', now, 'BYSCORE')) do
  call('ZREM', LEASES, over)
  call('HDEL', INSTANCES, over)
end
call('ZREMRANGEBYSCORE', APPS, '-inf', now)
call('HSET', INSTANCES, ID, ARGV[5])
lease_until(now + ARGV[4])
announce()
return 1
`,
  { write: true },
);

/** Prolongs a lease. ARGV besides: ttl in ms. Answers whether it still was there. */
export const renewScript = defineScript(
  /* lua */ `${leaseLibrary}
if not is_live() then return 0 end
lease_until(now + ARGV[4])
return 1
`,
  { write: true },
);

/** Ends a lease now. */
export const deregisterScript = defineScript(
  /* lua */ `${leaseLibrary}
if not is_live() then return 0 end
call('HDEL', INSTANCES, ID)
lease_until(now)
announce()
return 1
`,
  { write: true },
);

/**
 * Looks apps up. KEYS: leases and instances of each. Answers for each in how many ms what is found ends by itself, followed by id and
 * JSON of each instance; nothing for an app that is not known. Leases whose instances are missing are on the move to another node.
 */
export const findScript = defineScript(
  /* lua */ `${timeLibrary}
local found = {}
for i = 1, #KEYS, 2 do
  local leases = call('ZRANGE', KEYS[i], '(' .. now, '+inf', 'BYSCORE', 'WITHSCORES')
  local app = {}
  if #leases > 0 then
    app[1] = leases[2] - now
  else
    local last = call('ZRANGE', KEYS[i], -1, -1, 'WITHSCORES')[2]
    if last then app[1] = last + ${appMemoryMs} - now end
  end
  for n = 1, #leases, 2 do
    local instance = call('HGET', KEYS[i + 1], leases[n])
    if not instance then return redis.error_reply('TRYAGAIN what is known of an instance is not here') end
    app[#app + 1] = leases[n]
    app[#app + 1] = instance
  end
  found[#found + 1] = app
end
return found
`,
  { write: false },
);

/** The apps that are known. KEYS: the apps. */
export const listScript = defineScript(
  /* lua */ `${timeLibrary}
return call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE')
`,
  { write: false },
);
