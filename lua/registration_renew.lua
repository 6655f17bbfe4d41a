-- registration_renew: a heartbeat that renews the leases of all registrations of a process.
--
-- KEYS[1]    registrations  registration id -> order of registration
-- KEYS[2]    members        registration|process -> lease deadline
-- KEYS[3]    events         the service type's stream
-- KEYS[4]    cursors        round-robin positions
-- KEYS[5]    meta           the service type's revision
-- KEYS[6..]  hashes         registration:<id> of each id; then the breakers to keep
-- ARGV[1]    process        the process
-- ARGV[2]    lease_ms       how long the memberships last without being renewed
-- ARGV[3]    retention_ms   how long the data outlives the last lease
-- ARGV[4]    outage         "1": Redis was away or has just started: expiries are suspicious
-- ARGV[5]    share          a mass expiry: more than this share of the leases expired at once
-- ARGV[6..]  ids            the process's registrations
-- Returns    {"renewed", now, epoch, revision, expired, id, …}
--                           expired: how many leases have expired; then the ids that Redis has
--                           lost, which the process must register again
local clock = require("lib.clock")
local changes = require("lib.changes")
local members = require("lib.members")

members.repair(KEYS[1])
members.repair(KEYS[2])
changes.repair(KEYS[5])

local process, lease, retention = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock.now()
local deadline = string.format("%.0f", now + lease)

local function expired()
  return redis.call("ZCOUNT", KEYS[2], "-inf", string.format("%.0f", now))
end

local mass_expiry = expired() > tonumber(ARGV[5]) * redis.call("ZCARD", KEYS[2])
local members_lost = not redis.call("ZSCORE", KEYS[2], "|" .. process)
local lost, kept = {}, { "|" .. process }
for i = 6, #ARGV do
  local id = ARGV[i]
  local fields = redis.pcall("HLEN", KEYS[i])
  local exists = redis.call("ZSCORE", KEYS[1], id) and type(fields) == "number" and fields > 0
  if exists and redis.call("ZSCORE", KEYS[2], id .. "|" .. process) then
    kept[#kept + 1] = id .. "|" .. process
  else
    lost[#lost + 1] = id
    members_lost = members_lost or exists
  end
end

-- One by one: a process may have more registrations than Lua can unpack.
for _, member in ipairs(kept) do
  redis.call("ZADD", KEYS[2], deadline, member)
end
if members_lost then
  members.adopt_orphans(KEYS[1], KEYS[2], deadline)
end
if changes.version(KEYS[5])[1] == "" and redis.call("ZCARD", KEYS[1]) > 0 then
  changes.bump(KEYS[5], now)
end
local version = changes.version(KEYS[5])
if ARGV[4] == "1" and version[1] ~= "" then
  redis.call("HSET", KEYS[5], "suspect_until", deadline)
end
if mass_expiry and version[1] ~= "" then
  redis.call("HSET", KEYS[5], "mass_expiry_until", deadline)
end
for i, key in ipairs(KEYS) do
  -- A breaker under an override without an end has no expiry and must not get one.
  if i <= 5 or redis.call("PTTL", key) ~= -1 then
    changes.keep(key, lease + retention)
  end
end
local count = string.format("%.0f", expired())
local reply = { "renewed", string.format("%.0f", now), version[1], version[2], count }
for _, id in ipairs(lost) do
  reply[#reply + 1] = id
end
return reply
