-- Round-robin positions: one counter for each rotation, shared by the fleet.
local damage = require("lib.damage")

local cursor = {}

-- Takes `steps` positions and returns the first; 0 steps only reads. A damaged counter restarts.
function cursor.take(key, field, steps)
  if tonumber(steps) == 0 then
    local position = damage.pcall("HGET", key, field)
    return string.format("%.0f", type(position) == "string" and tonumber(position) or 0)
  end
  local after = damage.pcall("HINCRBY", key, field, steps)
  if type(after) ~= "number" then
    if type(damage.pcall("HSET", key, field, steps)) ~= "number" then
      redis.call("DEL", key)
      redis.call("HSET", key, field, steps)
    end
    after = tonumber(steps)
  end
  return string.format("%.0f", after - tonumber(steps))
end

return cursor
