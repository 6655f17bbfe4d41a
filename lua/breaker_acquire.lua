-- breaker_acquire: requests admission to a provider. In HALF_OPEN, admission is a leased permit.
--
-- KEYS[1]  breaker   the breaker's hash
-- KEYS[2]  permits   permit -> deadline
-- KEYS[3]  leases    process -> deadline of its lease
-- KEYS[4]  events    the service type's stream
-- KEYS[5]  meta      the service type's revision
-- ARGV[1]  provider  the provider's name
-- ARGV[2]  process   the calling process
-- ARGV[3]  permit    process|token, chosen by the caller; a call with a permit that is out returns
--                    the same permit
-- ARGV[4]  lease_ms  how long the process counts as alive without another heartbeat
-- Returns  {"admitted", now, field, value, …}
--                                  the call needs no permit
--          {"permit", now, deadline, field, value, …}
--                                  the call is a probe and must end before the deadline
--          {"refused", now, reason, retry_at, field, value, …}
--                                  retry_at: when a call may be admitted; 0: unknown
--          {"missing"}             the breaker must be configured first
-- Events   breaker_half_opened
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local override = require("lib.override")

local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end

local function reply(code, ...)
  local full = breaker.reply(code, b, now)
  for i, extra in ipairs({ ... }) do
    table.insert(full, 2 + i, extra)
  end
  return full
end

local function refused(reason, retry_at)
  return reply("refused", reason, string.format("%.0f", retry_at))
end

local forced = override.in_force(b, now)
if forced == "open" then
  return refused("forced_open", b.override_until)
elseif b.cooldown_until > now then
  return refused("cooling_down", b.cooldown_until)
elseif forced == "closed" or b.state == "closed" then
  return reply("admitted")
elseif b.state == "open" and now < b.retry_at then
  return refused("open", b.retry_at)
end

-- Most calls end above, and need not load what follows.
local state_machine = require("lib.state_machine")
local leases = require("lib.leases")
local processes = require("lib.processes")
local changes = require("lib.changes")

local deadline = leases.held(KEYS[2], KEYS[3], ARGV[3], now)
if deadline then
  return reply("permit", deadline)
end
local count, soonest, expired = leases.out(KEYS[2], KEYS[3], now)
if count >= b.half_open_max_calls then
  return refused("half_open", soonest)
end

deadline = now + b.timeout_duration_ms
if b.state == "open" then
  state_machine.half_open(b, now)
  changes.publish(KEYS[4], KEYS[5], now, b.retention_ms, {
    kind = "breaker_half_opened",
    provider = ARGV[1],
    actor = ARGV[2],
    reason = "the recovery timeout has passed",
    details = { "breaker", breaker.as_json(b) },
  })
end
processes.renew(KEYS[3], ARGV[2], now + tonumber(ARGV[4]))
leases.grant(KEYS[2], ARGV[3], deadline, expired, b.timeout_duration_ms + b.retention_ms)
breaker.save(KEYS[1], b, now)
changes.keep(KEYS[3], b.retention_ms)
return reply("permit", string.format("%.0f", deadline))
