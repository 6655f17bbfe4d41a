-- The holders of a registration: the processes that have registered it; it goes with the last one.
-- The set of a lease names what its process holds.
local damage = require("lib.damage")
local holders = {}

-- The name of a registration in the set of a lease.
function holders.name(service_type, id)
  return service_type .. "|" .. id
end

-- Whether no process holds a registration: then it is new, though a call that was refused midway
-- has written its record. A set that cannot be read may have holders.
function holders.none(key)
  return damage.pcall("SCARD", key) == 0
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

-- Ends the hold of a process, unless it is the last one: "left" (others hold it), "absent" (the
-- process does not), "unheld" (none does), "damaged" (the set cannot be read), or "last": then
-- nothing is written yet, so that the removal can be announced first.
function holders.release(key, lease, process, name)
  local count = damage.pcall("SCARD", key)
  local code
  if type(count) ~= "number" then
    code = "damaged"
  elseif count == 1 and redis.call("SRANDMEMBER", key) == process then
    return "last"
  else
    code = redis.call("SREM", key, process) == 1 and "left" or count == 0 and "unheld" or "absent"
  end
  damage.pcall("SREM", lease, name)
  return code
end

-- Removes a registration that no other process holds.
function holders.remove(key, lease, name, registrations, record, id)
  damage.pcall("SREM", lease, name)
  redis.call("ZREM", registrations, id)
  redis.call("DEL", record, key)
end

return holders
