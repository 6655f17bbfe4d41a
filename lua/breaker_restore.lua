-- breaker_restore: puts back what a process still knows of a breaker that Redis has lost.
--
-- KEYS[1]   breaker     the breaker's hash
-- KEYS[2]   events      the service type's stream
-- KEYS[3]   meta        the service type's revision
-- ARGV[1]   provider    its name
-- ARGV[2]   process     the process that remembers
-- ARGV[3..] remembered  field, value, …: its state as last seen
-- Returns   {"restored", now, field, value, …}
--           {"unchanged", now, field, value, …}  Redis has newer data: nothing was lost, or
--                                                something was decided since
--           {"missing"}                          configure the breaker first
-- Events    breaker_restored
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local journal = require("lib.journal")

local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end
if b.decided_at > 0 or b.cooldown_until > now then
  return breaker.reply("unchanged", b, now)
end

for i = 3, #ARGV, 2 do
  b[ARGV[i]] = tonumber(ARGV[i + 1]) or ARGV[i + 1]
end
-- Times of a server whose clock was ahead of this one's must not lengthen anything.
if b.opened_at > now then
  b.retry_at = now + math.max(0, b.retry_at - b.opened_at)
  b.opened_at = now
end
b.decided_at = now
local details = { "state", b.state }
local reason = "Redis had lost it"
journal.event(KEYS[2], "breaker_restored", ARGV[1], ARGV[2], reason, details)
journal.bump(KEYS[3], now)
journal.keep(KEYS[2], b.retention_ms)
journal.keep(KEYS[3], b.retention_ms)
breaker.save(KEYS[1], b, now)
return breaker.reply("restored", b, now)
