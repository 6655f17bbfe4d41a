-- breaker_trip_local: records that a breaker is open in one process only, or no longer is.
--
-- KEYS[1]  breaker      the breaker's hash
-- KEYS[2]  local_trips  process -> the time until which it refuses the provider alone
-- KEYS[3]  events       the service type's stream
-- ARGV[1]  provider     the provider's name
-- ARGV[2]  process      the process
-- ARGV[3]  duration_ms  how long the process refuses the provider; 0: no longer
-- ARGV[4]  reason       why
-- Returns  {"changed", now, field, value, …}    the local trip is recorded or ended
--          {"unchanged", now, field, value, …}  the breaker is not closed or is overridden, which
--                                               takes precedence over a local trip
--          {"missing"}                          the breaker must be configured first
-- Events   breaker_tripped_locally, breaker_recovered_locally; without a new revision, because
--          other processes do not act on them
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local override = require("lib.override")
local callers = require("lib.callers")
local changes = require("lib.changes")

local duration = tonumber(ARGV[3])
local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end
local opens = duration > 0
if opens and (b.state ~= "closed" or override.in_force(b, now) ~= "") then
  return breaker.reply("unchanged", b, now)
end

local kind = opens and "breaker_tripped_locally" or "breaker_recovered_locally"
local details = opens and { "until", string.format("%.0f", now + duration) } or {}
changes.append(KEYS[3], kind, ARGV[1], ARGV[2], ARGV[4], details)
callers.trip_local(KEYS[2], b, now, ARGV[2], duration)
return breaker.reply("changed", b, now)
