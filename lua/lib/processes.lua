-- The processes of a partition: the lease of each one, and the stream of who joined and left.
-- Registrations, permits and slots hang on the lease.
local damage = require("lib.damage")
local processes = {}

local STREAM_LENGTH = "1000"
local DAY_MS = "86400000"

local COUNT = {
  zset = function(key)
    return damage.pcall("ZCARD", key)
  end,
  set = function(key)
    return damage.pcall("SCARD", key)
  end,
  hash = function(key)
    return damage.pcall("HLEN", key)
  end,
}

-- Deletes a key that is not a `kind`; the processes write it again.
function processes.repair(key, kind)
  if type(COUNT[kind](key)) ~= "number" then
    redis.call("DEL", key)
  end
end

-- Whether the lease of a process is over, or gone.
function processes.is_over(leases, process, now)
  return tonumber(redis.call("ZSCORE", leases, process) or 0) <= now
end

-- Renews the lease of a process. Never shortens it.
function processes.renew(leases, process, deadline)
  if tonumber(redis.call("ZSCORE", leases, process) or 0) < deadline then
    redis.call("ZADD", leases, string.format("%.0f", deadline), process)
  end
end

-- Writes who a process is, and announces it first if it is new. `info` is host, pid and version.
function processes.introduce(key, stream, process, now, lease, info)
  local at = string.format("%.0f", now)
  processes.repair(key, "hash")
  local started = redis.call("HGET", key, "started")
  if not started then
    processes.announce(stream, "process_joined", process, process, "")
  end
  local who = { "host", info[1], "pid", info[2], "version", info[3] }
  redis.call("HSET", key, "started", started or at, unpack(who))
  redis.call("PEXPIRE", key, lease)
end

-- Adds to the set of service types in use.
function processes.use(types, service_type)
  if type(damage.pcall("SADD", types, service_type)) ~= "number" then
    redis.call("DEL", types)
    redis.call("SADD", types, service_type)
  end
end

-- Appends to the stream of processes, which only those read who ask for it.
function processes.announce(stream, kind, process, actor, reason)
  local entry = { "kind", kind, "actor", actor, "reason", reason, "process", process }
  local reply = damage.pcall("XADD", stream, "MAXLEN", "~", STREAM_LENGTH, "*", unpack(entry))
  if type(reply) == "table" and reply.err then
    redis.call("DEL", stream)
    redis.call("XADD", stream, "*", unpack(entry))
  end
  redis.call("PEXPIRE", stream, DAY_MS)
end

return processes
