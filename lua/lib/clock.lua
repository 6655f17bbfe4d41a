-- The one clock that decides anything shared: the server's.
local clock = {}

-- Milliseconds since the epoch, as an integer.
function clock.now()
  local time = redis.call("TIME")
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

return clock
