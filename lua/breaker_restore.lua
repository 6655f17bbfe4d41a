-- breaker_restore: restores a state that a process remembers and that Redis has lost.
--
-- KEYS[1]    breaker     the breaker's hash
-- KEYS[2]    permits     permit -> deadline
-- KEYS[3]    events      the service type's stream
-- KEYS[4]    meta        the service type's revision
-- ARGV[1]    provider    the provider's name
-- ARGV[2]    process     the process that remembers the state
-- ARGV[3]    seen_at     the process's estimate of the current time of the server that had it
-- ARGV[4..]  remembered  field, value, …: the state as last seen
-- Returns    {"restored", now, field, value, …}   the state or its cooldown is restored
--            {"unchanged", now, field, value, …}  the state in Redis is at least as new
--            {"missing"}                          the breaker must be configured first
-- Events     breaker_restored
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local changes = require("lib.changes")

local TIMES = {
  "opened_at",
  "retry_at",
  "changed_at",
  "last_failure_at",
  "streak_started_at",
  "warned_at",
  "cooldown_until",
  "override_until",
}

local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end
local remembered = {}
for i = 4, #ARGV, 2 do
  local number = type(b[ARGV[i]]) == "number"
  remembered[ARGV[i]] = number and (tonumber(ARGV[i + 1]) or 0) or ARGV[i + 1]
end
-- If the clock of that server was ahead of this one, its times move back by the difference.
local ahead = math.max(0, tonumber(ARGV[3]) - now)
for _, field in ipairs(TIMES) do
  local time = remembered[field] or 0
  if time > 0 then
    remembered[field] = math.max(1, time - ahead)
  end
end
remembered.changed_at = math.min(remembered.changed_at or 0, now)
local newer = remembered.changed_at > b.changed_at
local cools_down = (remembered.cooldown_until or 0) > math.max(b.cooldown_until, now)
if not newer and not cools_down then
  return breaker.reply("unchanged", b, now)
end

if newer then
  for field, value in pairs(remembered) do
    if field ~= "cooldown_until" then
      b[field] = value
    end
  end
  if b.opened_at > now then
    b.retry_at = now + math.max(0, b.retry_at - b.opened_at)
    b.opened_at = now
  end
  redis.call("DEL", KEYS[2])
end
if cools_down then
  b.cooldown_until = remembered.cooldown_until
end
changes.publish(KEYS[3], KEYS[4], now, b.retention_ms, {
  kind = "breaker_restored",
  provider = ARGV[1],
  actor = ARGV[2],
  reason = "Redis had lost the state",
  details = { "state", b.state, "breaker", breaker.as_json(b) },
})
breaker.save(KEYS[1], b, now)
return breaker.reply("restored", b, now)
