-- breaker_reset: closes a breaker and clears its counters, its cooldown and its override.
--
-- KEYS[1]  breaker   the breaker's hash
-- KEYS[2]  permits   permit -> deadline
-- KEYS[3]  events    the service type's stream
-- KEYS[4]  meta      the service type's revision
-- KEYS[5]  callers   called|process, failed|process -> time
-- ARGV[1]  provider  the provider's name
-- ARGV[2]  actor     the operator or process that resets it
-- ARGV[3]  reason    why
-- Returns  {"changed", now, field, value, …}  the breaker is closed
--          {"missing"}                        there is no breaker to reset
-- Events   breaker_reset
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local state_machine = require("lib.state_machine")
local callers = require("lib.callers")
local changes = require("lib.changes")

local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end

local previous = b.state
state_machine.close(b, now)
b.cooldown_until = 0
b.override = ""
b.override_reason = ""
b.override_actor = ""
b.override_until = 0
changes.publish(KEYS[3], KEYS[4], now, b.retention_ms, {
  kind = "breaker_reset",
  provider = ARGV[1],
  actor = ARGV[2],
  reason = ARGV[3],
  details = { "was", previous, "breaker", breaker.as_json(b) },
})
redis.call("DEL", KEYS[2])
callers.clear_window(KEYS[5], b)
breaker.save(KEYS[1], b, now)
return breaker.reply("changed", b, now)
