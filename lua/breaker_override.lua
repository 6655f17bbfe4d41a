-- breaker_override: puts an operator's word over a breaker, or takes it away.
--
-- KEYS[1]  breaker      the breaker's hash
-- KEYS[2]  permits      permit -> deadline
-- KEYS[3]  events       the service type's stream
-- KEYS[4]  meta         the service type's revision
-- ARGV[1]  provider     its name
-- ARGV[2]  actor        who says so
-- ARGV[3]  override     "open" | "closed" | "" (take it away)
-- ARGV[4]  reason       why
-- ARGV[5]  duration_ms  how long it stands; 0: until it is taken away
-- Returns  {"changed", now, field, value, …}
--          {"unchanged", now, field, value, …}  there was no override to take away
--          {"missing"}                          configure the breaker first
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
redis.call("DEL", KEYS[2])
changes.change(KEYS[3], KEYS[4], now, b.retention_ms, {
  kind = KINDS[override],
  provider = ARGV[1],
  actor = ARGV[2],
  reason = ARGV[4],
  details = { "until", string.format("%.0f", b.override_until), "breaker", breaker.told(b) },
})
breaker.save(KEYS[1], b, now)
return breaker.reply("changed", b, now)
