-- breaker_cool_down: leaves a provider alone for a while, because it said so; not a failure.
--
-- KEYS[1]  breaker      the breaker's hash
-- KEYS[2]  events       the service type's stream
-- KEYS[3]  meta         the service type's revision
-- ARGV[1]  provider     its name
-- ARGV[2]  process      the process that was told
-- ARGV[3]  duration_ms  from now; of two deadlines the later one counts
-- ARGV[4]  reason       what the provider said
-- Returns  {"changed", now, field, value, …}
--          {"unchanged", now, field, value, …}  it already cools down for longer
--          {"missing"}                          configure the breaker first
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
changes.change(KEYS[2], KEYS[3], now, b.retention_ms, {
  kind = "breaker_cooldown_started",
  provider = ARGV[1],
  actor = ARGV[2],
  reason = ARGV[4],
  details = { "until", string.format("%.0f", deadline), "breaker", breaker.told(b) },
})
breaker.save(KEYS[1], b, now)
return breaker.reply("changed", b, now)
