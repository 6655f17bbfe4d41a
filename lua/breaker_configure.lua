-- breaker_configure: gives a breaker the settings that all processes follow; its state stays.
--
-- KEYS[1]    breaker   the breaker's hash
-- KEYS[2]    permits   permit -> deadline
-- KEYS[3]    events    the service type's stream
-- KEYS[4]    meta      the service type's revision
-- KEYS[5]    callers   called|process, failed|process -> time
-- ARGV[1]    provider  the provider's name
-- ARGV[2]    process   the process that registered the settings
-- ARGV[3]    mode      "explicit": the newest settings win; "default": only if there are none
-- ARGV[4..]  settings  field, value, …: every setting of the breaker
-- Returns    {"created", now, field, value, …}    there were no settings that could be read
--            {"changed", now, field, value, …}    the settings were different
--            {"unchanged", now, field, value, …}  the settings stay
-- Events     breaker_settings_changed
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local callers = require("lib.callers")
local changes = require("lib.changes")
local damage = require("lib.damage")

local key = KEYS[1]
local now = clock.now()

if not breaker.load(key) then
  if type(damage.pcall("HLEN", key)) ~= "number" then
    redis.call("DEL", key)
  end
  redis.call("HSET", key, unpack(ARGV, 4))
  local b = breaker.load(key)
  if not b then
    return redis.error_reply("INVALID the settings of a breaker must be positive numbers")
  end
  b.born = b.born > 0 and b.born or now
  b.window, b.window_past = "", ""
  callers.clear_window(KEYS[5], b)
  breaker.save(key, b, now, true)
  changes.bump(KEYS[4], now)
  changes.keep(KEYS[4], b.retention_ms)
  return breaker.reply("created", b, now)
end

local changed = {}
if ARGV[3] == "explicit" then
  for i = 4, #ARGV, 2 do
    if redis.call("HGET", key, ARGV[i]) ~= ARGV[i + 1] then
      changed[#changed + 1] = ARGV[i]
    end
  end
end

local b = breaker.load(key)
if #changed > 0 then
  changes.publish(KEYS[3], KEYS[4], now, b.retention_ms, {
    kind = "breaker_settings_changed",
    provider = ARGV[1],
    actor = ARGV[2],
    reason = "registered with other settings",
    details = { "settings", table.concat(changed, " ") },
  })
  redis.call("HSET", key, unpack(ARGV, 4))
  redis.call("DEL", KEYS[2])
  b = breaker.load(key)
  b.generation = b.generation + 1
  b.window, b.window_past = "", ""
  callers.clear_window(KEYS[5], b)
end
breaker.save(key, b, now)
return breaker.reply(#changed > 0 and "changed" or "unchanged", b, now)
