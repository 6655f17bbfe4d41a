-- The holders of a registration: the processes that have registered it; it goes with the last one.
-- The set of a lease names what its process holds.
local damage = require("lib.damage")
local holders = {}

-- The name of a registration in the set of a lease.
function holders.name(service_type, id)
  return service_type .. "|" .. id
end

-- Makes a process a holder. A set that is damaged is written anew.
function holders.hold(key, lease, process, name)
  for set, member in pairs({ [key] = process, [lease] = name }) do
    if type(damage.pcall("SADD", set, member)) ~= "number" then
      redis.call("DEL", set)
      redis.call("SADD", set, member)
    end
  end
end

-- Ends the hold of a process: whether it was a holder, and how many others are left.
function holders.release(key, lease, process, name)
  damage.pcall("SREM", lease, name)
  local removed = damage.pcall("SREM", key, process)
  if type(removed) ~= "number" then
    redis.call("DEL", key)
    return true, 0
  end
  return removed == 1, redis.call("SCARD", key)
end

-- Removes a registration without holders.
function holders.remove(key, registrations, record, id)
  redis.call("ZREM", registrations, id)
  redis.call("DEL", record, key)
end

return holders
