-- registration_expire: ends the hold of a process whose lease is over on registrations of one
-- service type, and removes those that have no other holder.
--
-- KEYS[1]    registrations  registration id -> order of registration
-- KEYS[2]    events         the service type's stream
-- KEYS[3]    meta           the service type's revision
-- KEYS[4]    leases         process -> deadline of its lease
-- KEYS[5]    lease          the registrations that hang on the lease that is over
-- KEYS[6..]  hashes         for each registration: registration:<id>, holders:<id>
-- ARGV[1]    service_type   the service type
-- ARGV[2]    holder         the process whose lease is over
-- ARGV[3]    sweeper        the calling process
-- ARGV[4..]  ids            for each registration: its id, the provider's name
-- Returns    {"expired", id, …}  the registrations that were removed
--            {"alive"}           the process has renewed its lease: nothing is changed
-- Events     provider_expired
local clock = require("lib.clock")
local changes = require("lib.changes")
local processes = require("lib.processes")
local holders = require("lib.holders")

local HEAD, COLUMNS = 3, 2
local service_type, process, sweeper = ARGV[1], ARGV[2], ARGV[3]
local now = clock.now()
if not processes.is_over(KEYS[4], process, now) then
  return { "alive" }
end

local reply = { "expired" }
for i = 6, #KEYS, COLUMNS do
  local at = HEAD + 1 + (i - 6)
  local id, name = ARGV[at], ARGV[at + 1]
  local held = holders.name(service_type, id)
  local code = holders.release(KEYS[i + 1], KEYS[5], process, held)
  local gone = code == "last" or code == "unheld"
  if gone and redis.call("ZSCORE", KEYS[1], id) then
    changes.publish(KEYS[2], KEYS[3], now, 0, {
      kind = "provider_expired",
      provider = name,
      actor = sweeper,
      reason = "the lease of its last holder expired",
      details = { "id", id, "process", process },
    })
    reply[#reply + 1] = id
  end
  if gone then
    holders.remove(KEYS[i + 1], KEYS[5], held, KEYS[1], KEYS[i], id)
  end
end
return reply
