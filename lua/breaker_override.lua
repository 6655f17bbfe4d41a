-- breaker_override: sets or clears an operator's override of a breaker.
--
-- KEYS[1]  breaker      the breaker's hash
-- KEYS[2]  permits      permit -> deadline
-- KEYS[3]  events       the service type's stream
-- KEYS[4]  meta         the service type's revision
-- ARGV[1]  provider     the provider's name
-- ARGV[2]  actor        the operator or process that sets it
-- ARGV[3]  override     "open" | "closed" | "" (clear it)
-- ARGV[4]  reason       why
-- ARGV[5]  duration_ms  how long it is in force; 0: until it is cleared
-- Returns  {"changed", now, field, value, …}    the override is set or cleared
--          {"unchanged", now, field, value, …}  there was no override to clear
--          {"missing"}                          the breaker must be configured first
-- Events   breaker_forced_open, breaker_forced_closed, breaker_override_cleared
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local changes = require("lib.changes")

local KINDS = {
  open = "breaker_forced_open",
  closed = "breaker_forced_closed",
  [""] = "breaker_override_cleared",
}

local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end
local override, duration = ARGV[3], tonumber(ARGV[5])
if override == "" and b.override == "" then
  return breaker.reply("unchanged", b, now)
end

b.override = override
b.override_reason = override ~= "" and ARGV[4] or ""
b.override_actor = override ~= "" and ARGV[2] or ""
b.override_until = override ~= "" and duration > 0 and now + duration or 0
b.generation = b.generation + 1
b.changed_at = now
changes.publish(KEYS[3], KEYS[4], now, b.retention_ms, {
  kind = KINDS[override],
  provider = ARGV[1],
  actor = ARGV[2],
  reason = ARGV[4],
  details = { "until", string.format("%.0f", b.override_until), "breaker", breaker.as_json(b) },
})
redis.call("DEL", KEYS[2])
breaker.save(KEYS[1], b, now)
return breaker.reply("changed", b, now)
