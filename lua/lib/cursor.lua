-- Round-robin positions: one counter for each rotation, the whole fleet's.
local cursor = {}

-- The first of the positions taken; 0 steps only look. A damaged counter begins anew.
function cursor.take(key, field, steps)
  if tonumber(steps) == 0 then
    return string.format("%.0f", tonumber(redis.call("HGET", key, field) or 0) or 0)
  end
  local after = redis.pcall("HINCRBY", key, field, steps)
  if type(after) ~= "number" then
    redis.call("HSET", key, field, steps)
    after = tonumber(steps)
  end
  return string.format("%.0f", after - tonumber(steps))
end

return cursor
