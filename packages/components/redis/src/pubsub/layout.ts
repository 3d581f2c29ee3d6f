/**
 * The layout of a topic, all of it in the hash slot of its tag `{prefix:keyspace:topic}`:
 *
 *     {tag}:topic    hash   time and count, of which the id of the last event was made; span; and by `g:` and a group's id how
 *                           many events that group has looked at
 *     {tag}:log      stream every event: p (payload) and, where it has them, k (ordering key), d (due time), x (expiry time)
 *     {tag}:groups   hash   every group by name: its id and settings
 *     {tag}:seen:S   hash   what was published lately, by a digest of source and id: S is 0 or 1, for even and odd spans of time
 *
 * and of each of its groups, by the group's id, under `{tag}:group:ID`:
 *
 *     …:held    hash   by event: what is not under the lease of its first claim, but leased again, waiting for its time or for its key
 *     …:due     zset   when an event of those may be taken (again); and by `c` and its token when a claim's leases end
 *     …:behind  zset   of those, which wait for another of their ordering key: by key and position
 *     …:heads   hash   by ordering key: the event that goes ahead
 *     …:kept    hash   events that the group needs longer than the log has them, or apart from it
 *     …:dead    stream what was given up
 *     …:deleted string for a week, that the group was deleted, and not lost by a server that has lost its data
 *
 * An event's id in the log is the time in ms and its position, counted from 1: `1763692713000-17`. So positions are dense, and what a
 * group has not looked at is counted without looking. Where a group stands is the stream's own consumer group, `NAME#ID`. What it has not
 * done is a pending entry of that, or in `kept`: each claim is a consumer, so that many leases cost little more than one, and what is leased
 * or waits otherwise is pending for the consumer "mecha". XINFO and XPENDING tell people what they tell the scripts.
 */
const topicKeyNames = ["topic", "log", "groups"] as const;
const groupKeyNames = ["held", "due", "behind", "heads", "kept", "dead", "deleted"] as const;

/** The hash tag of a topic; its route. */
export const topicTag = (keyPrefix: string, keyspace: string, topic: string) => `{${keyPrefix}:${keyspace}:${topic}}`;

/** Where a topic says that there may be something to take: for the group of that id, or "" for all. */
export const arrivedChannel = (tag: string) => `${tag}:arrived`;

/** The keys of a topic, in the order in which scripts have them. */
export const topicKeys = (tag: string): readonly string[] => topicKeyNames.map((name) => `${tag}:${name}`);
export const topicKeyCount = topicKeyNames.length;

/** The keys of a group with those of its topic, in the order in which scripts have them. */
export const groupKeys = (tag: string, groupId: string): readonly string[] => [
  ...topicKeys(tag),
  ...groupKeyNames.map((name) => `${tag}:group:${groupId}:${name}`),
];

/** The keys of a topic with those of what was seen lately. */
export const publishKeys = (tag: string): readonly string[] => [...topicKeys(tag), `${tag}:seen:0`, `${tag}:seen:1`];

/** What scripts know of a topic. */
export const topicLibrary = /* lua */ `
local call = redis.call
local TOPIC, LOG, GROUPS = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Payload, ordering key, due time and expiry time (0: none) of what the log has.
local function parse_event(fields)
  local payload, key, due, expiry = fields[2], '', 0, 0
  for i = 3, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'k' then key = value elseif name == 'd' then due = tonumber(value) else expiry = tonumber(value) end
  end
  return payload, key, due, expiry
end

-- The time and the position in an event's id.
local function parse_id(id)
  local ms, position = string.match(id, '^(%d+)-(%d+)$')
  return ms, tonumber(position)
end
`;

/**
 * What scripts know of a group. A record in `held` is `token|attempts|kept|length of key|key, last error`: the token of its lease or "-", and
 * whether it is in `kept`; the key only in an ordered group.
 */
export const groupLibrary = /* lua */ `${topicLibrary}
local HELD, DUE, BEHIND, HEADS, KEPT, DEAD = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
-- What the log calls the group.
local GROUP = ARGV[2]

-- Tells those of the group who wait; a user without the right to is heard at their next look.
local function announce()
  redis.pcall('SPUBLISH', string.sub(TOPIC, 1, -6) .. 'arrived', string.match(GROUP, '#(.*)$'))
end

local function hold(id, r)
  call('HSET', HELD, id, r.token .. '|' .. r.attempts .. '|' .. r.kept .. '|' .. #r.key .. '|' .. r.key .. r.error)
end

local function parse_record(text)
  local token, attempts, kept, length, rest = string.match(text, '^([^|]*)|(%d+)|(%d)|(%d+)|(.*)$')
  length = tonumber(length)
  return {
    token = token, attempts = tonumber(attempts), kept = kept,
    key = string.sub(rest, 1, length), error = string.sub(rest, length + 1),
  }
end

-- In \`behind\` the events of one key stand together, by their position.
local function of_key(key)
  return string.format('%03d', #key) .. key
end

local function put_behind(key, id)
  local _, position = parse_id(id)
  call('ZADD', BEHIND, 0, string.format('%s%015d%s', of_key(key), position, id))
end

-- The one ahead is done: lets the next one of its key go. Whether there was one.
local function advance(key, id)
  if call('HGET', HEADS, key) ~= id then return false end
  local prefix = of_key(key)
  local member = call('ZRANGE', BEHIND, '[' .. prefix .. '0', '(' .. prefix .. ':', 'BYLEX', 'LIMIT', 0, 1)[1]
  if not member then
    call('HDEL', HEADS, key)
    return false
  end
  local following = string.sub(member, #prefix + 16)
  call('ZREM', BEHIND, member)
  call('HSET', HEADS, key, following)
  call('ZADD', DUE, 0, following)
  return true
end

-- Keeps an event apart from the log.
local function keep(id, key, expiry, payload)
  call('HSET', KEPT, id, #key .. '|' .. expiry .. '|' .. key .. payload)
end

-- What parse_event says of an event; nothing if the log was cut by somebody else.
local function event_of(id, record)
  if record.kept == '1' then
    local length, expiry, rest = string.match(call('HGET', KEPT, id), '^(%d+)|(%d+)|(.*)$')
    return string.sub(rest, length + 1), string.sub(rest, 1, length), 0, tonumber(expiry)
  end
  local entry = call('XRANGE', LOG, id, id)[1]
  if entry then return parse_event(entry[2]) end
end

-- Ends what is held: it is done, for this group. Whether another of its key may go.
local function finish(id, record)
  call('HDEL', HELD, id)
  call('ZREM', DUE, id)
  if record.kept == '1' then call('HDEL', KEPT, id) else call('XACK', LOG, GROUP, id) end
  return record.key ~= '' and advance(record.key, id)
end
`;
