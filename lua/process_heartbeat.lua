-- process_heartbeat: renews the lease of a process, on which all hangs that the process holds.
--
-- KEYS[1]    leases        process -> deadline of its lease
-- KEYS[2]    lease         the registrations that hang on this lease
-- KEYS[3]    process       the process's hash
-- KEYS[4]    processes     the stream of who joined and left
-- KEYS[5]    types         service types in use
-- KEYS[6]    expiry        what is known of mass expiries
-- KEYS[7]    namespace     the number of partitions, in the first of them
-- KEYS[8..]  metas         the revision of each service type that the process uses
-- ARGV[1]    holder        the process
-- ARGV[2]    lease_ms      how long the lease lasts without being renewed
-- ARGV[3]    retention_ms  how long the data outlives the last lease
-- ARGV[4]    interval_ms   how often the fleet looks for data that Redis has lost
-- ARGV[5]    held          how many registrations the process has written
-- ARGV[6]    losses        how many losses of holders the process knows of; "": unknown
-- ARGV[7]    outage        "1": Redis was away or has just started: expiries are suspicious
-- ARGV[8]    share         a mass expiry: more than this share of the leases expired at once
-- ARGV[9]    host          the host that the process runs on
-- ARGV[10]   pid           its process id on that host
-- ARGV[11]   version       its version of ciris_registry
-- ARGV[12]   partitions    the number of partitions that it knows; "0": this is not the first one
-- ARGV[13]   origin        "named" | "default": whether a program has named that number
-- ARGV[14..] used          its service types, in the order of metas
-- Returns    {"renewed" | "rejoin", now, expired, processes, losses, partitions,
--            origin, epoch, revision, due, …}
--            "rejoin": Redis has lost registrations of the process, which must register again.
--            expired: how many leases have expired; processes: how many there are;
--            losses: how many times Redis has lost who holds a registration; the number of
--            partitions that counts. Then for each service type its version, and "1" if this
--            process has to look for lost data now
-- Events     process_joined in `processes`
local clock = require("lib.clock")
local plain_beat = require("lib.plain_beat")

local process, lease, retention = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local interval, held = tonumber(ARGV[4]), tonumber(ARGV[5])
local now = clock.now()
local deadline = string.format("%.0f", now + lease)

local renewed = plain_beat.renew(KEYS, ARGV, now)
if renewed then
  return renewed
end

-- Most beats end above, and need not load what follows.
local damage = require("lib.damage")
local changes = require("lib.changes")
local processes = require("lib.processes")
local partitions = require("lib.partitions")

-- The version of a service type's data, and whether the process has to look for lost data.
local function look(meta)
  local found = damage.pcall("HMGET", meta, "epoch", "revision", "checked_at")
  if found.err or not found[1] then
    processes.repair(meta, "hash")
    if held == 0 then
      return "", "0", "0"
    end
    -- Registrations without a version: a reader must not take them for none.
    changes.bump(meta, now)
    found = { unpack(changes.version(meta)) }
  end
  local checked = tonumber(found[3]) or 0
  local due = now >= checked + interval or checked > now
  if due then
    redis.call("HSET", meta, "checked_at", string.format("%.0f", now))
  end
  return found[1], found[2] or "0", due and "1" or "0"
end

processes.repair(KEYS[1], "zset")
processes.repair(KEYS[2], "set")
processes.repair(KEYS[6], "hash")
local code = "renewed"
local gone = redis.call("ZSCORE", KEYS[1], process) == false
local losses = redis.call("HGET", KEYS[6], "losses") or "0"
local unheld = ARGV[6] ~= "" and ARGV[6] ~= losses
if held > 0 and (gone or unheld or redis.call("SCARD", KEYS[2]) ~= held) then
  code = "rejoin"
end
local function expired()
  return redis.call("ZCOUNT", KEYS[1], "-inf", string.format("%.0f", now))
end
local mass_expiry = expired() > tonumber(ARGV[8]) * redis.call("ZCARD", KEYS[1])
local info = { ARGV[9], ARGV[10], ARGV[11] }
processes.introduce(KEYS[3], KEYS[4], process, now, lease, info)
if ARGV[7] == "1" then
  redis.call("HSET", KEYS[6], "suspect_until", deadline)
end
if mass_expiry then
  redis.call("HSET", KEYS[6], "mass_expiry_until", deadline)
end

redis.call("ZADD", KEYS[1], deadline, process)
for i = 14, #ARGV do
  processes.use(KEYS[5], ARGV[i])
end
for _, key in ipairs({ KEYS[1], KEYS[2], KEYS[5], KEYS[6] }) do
  changes.keep(key, lease + retention)
end
local reply = { code, string.format("%.0f", now), string.format("%d", expired()) }
reply[4] = string.format("%d", redis.call("ZCARD", KEYS[1]))
reply[5] = losses
reply[6], reply[7] = ARGV[12], ARGV[13]
if ARGV[12] ~= "0" then
  local keep_ms = lease + retention
  local agreed = partitions.agree(KEYS[7], ARGV[12], ARGV[13], process, keep_ms)
  reply[6], reply[7] = agreed[1], agreed[2]
end
for i = 8, #KEYS do
  local epoch, revision, due = look(KEYS[i])
  for _, one in ipairs({ epoch, revision, due }) do
    reply[#reply + 1] = one
  end
end
return reply
