-- epoch_begin: begins a new epoch if the data are older than a process has seen them, as those of
-- a promoted replica that had lagged. All processes then restore what they remember.
--
-- KEYS[1]  events    the service type's stream
-- KEYS[2]  meta      the service type's revision
-- ARGV[1]  process   the process that has seen newer data
-- ARGV[2]  epoch     the version that it had seen before this call
-- ARGV[3]  revision
-- Returns  {"begun", now}      the data are older, and of a new epoch now
--          {"unchanged", now}  the data are at least as new, or of another epoch
-- Events   state_lost
local clock = require("lib.clock")
local changes = require("lib.changes")

local now = clock.now()
local version = changes.version(KEYS[2])
local seen = tonumber(ARGV[3]) or 0
if version[1] ~= ARGV[2] or (tonumber(version[2]) or 0) >= seen then
  return { "unchanged", string.format("%.0f", now) }
end

local epoch = math.max(now, (tonumber(version[1]) or 0) + 1)
changes.publish(KEYS[1], KEYS[2], now, 0, {
  kind = "state_lost",
  provider = "",
  actor = ARGV[1],
  reason = "Redis has older data than this process has seen; the processes restore what they know",
  epoch = string.format("%.0f", epoch),
  details = { "lost", "everything after revision " .. version[2] },
})
return { "begun", string.format("%.0f", now) }
