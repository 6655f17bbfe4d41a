-- registration_check: looks for keys of one service type that Redis has lost, and keeps the others.
-- One process of the fleet does it at each interval.
--
-- KEYS[1]    registrations  registration id -> order of registration
-- KEYS[2]    events         the service type's stream
-- KEYS[3]    meta           the service type's revision
-- KEYS[4]    leases         process -> deadline of its lease
-- KEYS[5]    cursors        round-robin positions
-- KEYS[6]    expiry         how often the holders of a registration were lost
-- KEYS[7..]  hashes         for each registration: registration:<id>, holders:<id>; then
--                           breaker:<name> of each name
-- ARGV[1]    checker        the calling process
-- ARGV[2]    epoch          the version at which the caller knew the keys
-- ARGV[3]    revision
-- ARGV[4]    keep_ms        how long the keys outlive this call
-- ARGV[5]    lease_ms       the length of a lease
-- ARGV[6]    sample         the most holders of one registration that are looked at
-- ARGV[7]    ids            how many registrations there are
-- ARGV[8..]  names          their ids; then the names of the breakers
-- Returns    {"checked", n, id or name, …, holder, id, …}
--                           n lost registrations and breakers; then the holders that have no
--                           lease, each with its registration
--            {"moved"}      the version is another one: nothing is looked at
-- Events     state_lost
local damage = require("lib.damage")
local clock = require("lib.clock")
local changes = require("lib.changes")
local forgotten = require("lib.forgotten")
local processes = require("lib.processes")

processes.repair(KEYS[1], "zset")
processes.repair(KEYS[6], "hash")
local version = changes.version(KEYS[3])
if version[1] ~= ARGV[2] or version[2] ~= ARGV[3] then
  return { "moved" }
end
local now, keep = clock.now(), tonumber(ARGV[4])
local sample, number = ARGV[6], tonumber(ARGV[7])
local lost, orphans, removals = {}, {}, {}

-- Whether one of a registration's keys is gone. It is unlisted: one of its holders writes it anew.
-- If the holders are gone, all processes register again at their next heartbeat.
local function is_lost(record, held_by, id)
  local count = damage.pcall("SCARD", held_by)
  local fields = damage.pcall("HLEN", record)
  local held = type(count) == "number" and count > 0
  if held and type(fields) == "number" and fields > 0 and redis.call("ZSCORE", KEYS[1], id) then
    return false
  end
  removals[#removals + 1] = { id = id, record = record, held_by = not held and held_by }
  return true
end

local function remove(one)
  redis.call("ZREM", KEYS[1], one.id)
  redis.call("DEL", one.record)
  if one.held_by then
    redis.call("DEL", one.held_by)
    redis.call("HINCRBY", KEYS[6], "losses", 1)
  end
end

local function look(record, held_by, id)
  if is_lost(record, held_by, id) then
    lost[#lost + 1] = id
    return
  end
  changes.keep(record, keep)
  changes.keep(held_by, keep)
  for _, holder in ipairs(redis.call("SRANDMEMBER", held_by, sample)) do
    if not redis.call("ZSCORE", KEYS[4], holder) then
      orphans[#orphans + 1] = holder
      orphans[#orphans + 1] = id
    end
  end
end

for i = 1, number do
  look(KEYS[5 + 2 * i], KEYS[6 + 2 * i], ARGV[7 + i])
end
for i = 7 + 2 * number, #KEYS do
  local left = redis.call("PTTL", KEYS[i])
  if left == -2 then
    lost[#lost + 1] = ARGV[i - number + 1]
  elseif left ~= -1 and left < keep then
    -- A breaker under an override without an end has no expiry and must not get one.
    redis.call("PEXPIRE", KEYS[i], ARGV[4])
  end
end
if #lost > 0 then
  local names = table.concat(lost, " ")
  changes.publish(KEYS[2], KEYS[3], now, keep, {
    kind = "state_lost",
    provider = "",
    actor = ARGV[1],
    reason = "Redis has lost keys, and the processes that know them write them anew",
    details = { "lost", names },
  })
end
for _, one in ipairs(removals) do
  remove(one)
end
forgotten.clear_old(KEYS[3], now, 2 * tonumber(ARGV[5]))
for _, key in ipairs({ KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6] }) do
  changes.keep(key, keep)
end

local reply = { "checked", string.format("%d", #lost) }
for _, list in ipairs({ lost, orphans }) do
  for _, one in ipairs(list) do
    reply[#reply + 1] = one
  end
end
return reply
