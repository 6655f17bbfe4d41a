-- The number of partitions of a namespace: recorded once, in the first partition.
local damage = require("lib.damage")
local partitions = {}

-- Records the number that a process knows, unless another one counts already: a `named` number
-- replaces a `default` one, and nothing replaces a named one. {number, origin} of what counts.
-- A key that is not such a hash is written anew.
function partitions.agree(key, number, origin, actor, keep_ms)
  local found = damage.pcall("HMGET", key, "partitions", "origin")
  if found.err then
    redis.call("DEL", key)
    found = {}
  end
  local known = string.match(found[1] or "", "^[1-9]%d*$")
  if not known or (found[2] ~= "named" and origin == "named") then
    redis.call("HSET", key, "partitions", number, "origin", origin, "named_by", actor)
    found = { number, origin }
  end
  redis.call("PEXPIRE", key, string.format("%.0f", keep_ms))
  return { found[1], found[2] or "default" }
end

return partitions
