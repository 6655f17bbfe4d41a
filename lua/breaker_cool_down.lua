-- breaker_cool_down: starts a cooldown that the provider requested. A cooldown is not a failure.
--
-- KEYS[1]  breaker      the breaker's hash
-- KEYS[2]  events       the service type's stream
-- KEYS[3]  meta         the service type's revision
-- ARGV[1]  provider     the provider's name
-- ARGV[2]  process      the process whose call got the request
-- ARGV[3]  duration_ms  how long from now; of two deadlines the later one stays
-- ARGV[4]  reason       what the provider answered
-- Returns  {"changed", now, field, value, …}    the cooldown has started or is longer
--          {"unchanged", now, field, value, …}  the current cooldown ends no earlier
--          {"missing"}                          the breaker must be configured first
-- Events   breaker_cooldown_started
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local changes = require("lib.changes")

local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end
local deadline = now + tonumber(ARGV[3])
if deadline <= b.cooldown_until or deadline <= now then
  return breaker.reply("unchanged", b, now)
end

b.cooldown_until = deadline
changes.publish(KEYS[2], KEYS[3], now, b.retention_ms, {
  kind = "breaker_cooldown_started",
  provider = ARGV[1],
  actor = ARGV[2],
  reason = ARGV[4],
  details = { "until", string.format("%.0f", deadline), "breaker", breaker.as_json(b) },
})
breaker.save(KEYS[1], b, now)
return breaker.reply("changed", b, now)
