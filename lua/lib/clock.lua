-- The server's clock, the only one that decides anything shared.
local clock = {}

-- Milliseconds since 1970, as an integer.
function clock.now()
  local time = redis.call("TIME")
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

return clock
