-- breaker_restore: puts back a breaker that a process remembers and that Redis has lost.
--
-- KEYS[1]    breaker     the breaker's hash
-- KEYS[2]    permits     permit -> deadline
-- KEYS[3]    events      the service type's stream
-- KEYS[4]    meta        the service type's revision
-- ARGV[1]    provider    the provider's name
-- ARGV[2]    process     the process that remembers the state
-- ARGV[3]    seen_at     the process's estimate of the current time of the server that had it
-- ARGV[4]    settings    how many of the remembered names and values belong to settings; these come
--                        first, and are written only if Redis has no settings of the breaker
-- ARGV[5..]  remembered  field, value, …: the settings, then the state as last seen
-- Returns    {"restored", now, field, value, …}   the state, one of its times or the count of its
--                                                 generations is restored
--            {"unchanged", now, field, value, …}  the state in Redis is at least as new
--            {"forgotten", now}                   it was forgotten on purpose since its last change
--            {"missing"}                          Redis has no settings, and none were given
-- Events     breaker_restored
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local remembered = require("lib.remembered")
local forgotten = require("lib.forgotten")
local changes = require("lib.changes")

local key, now, first = KEYS[1], clock.now(), 5 + tonumber(ARGV[4])

local function configure()
  changes.repair(key)
  redis.call("HSET", key, unpack(ARGV, 5, first - 1))
  local b = breaker.load(key)
  if b then
    b.window, b.window_past = "", ""
  end
  return b
end

if forgotten.covers(KEYS[4], ARGV[1], ARGV, first, now) then
  return { "forgotten", string.format("%.0f", now) }
end
local b = breaker.load(key)
local configures = not b
if configures and first == 5 then
  return { "missing" }
end
b = b or configure()
if not b then
  return redis.error_reply("INVALID the settings of a breaker must be positive numbers")
end

local seen, state, moved = remembered.read(b, ARGV, first, now, tonumber(ARGV[3]))
local lost = b.born == 0 and b.generation == 0 and b.changed_at == 0
local another_life = not lost and b.born ~= state.born
local newer = lost or remembered.is_newer(b, state, now, moved)

local function replace()
  remembered.keep_totals(b, state)
  local generation = lost and state.generation or math.max(b.generation, state.generation) + 1
  for field, value in pairs(state) do
    if field ~= "cooldown_until" and (field ~= "born" or value > 0) then
      b[field] = value
    end
  end
  b.generation = generation
  return true
end

-- Outcomes of calls that another life of the breaker has admitted must not count in this one.
local function count_on()
  local repeats = another_life and state.generation >= math.max(b.generation, 1)
  if repeats then
    b.generation = state.generation + 1
  end
  return repeats
end

local function cool_down()
  -- What is closed in a later generation was reset, or its probes succeeded.
  local later = not another_life and b.generation > state.generation and b.state == "closed"
  local ended = not newer and later and b.cooldown_until == 0
  local lasts = not ended and state.cooldown_until > math.max(b.cooldown_until, now)
  if lasts then
    b.cooldown_until = state.cooldown_until
  end
  return lasts
end

-- A deadline never lies further ahead than its own length.
local function cut()
  local ahead = b.state == "open" and b.opened_at > now
  if ahead then
    b.retry_at = now + math.max(0, b.retry_at - b.opened_at)
    b.opened_at = now
  end
  return ahead
end

local cools_down = cool_down()
local changed = newer and replace()
if not newer then
  local followed = remembered.follow_clock(b, seen, state, moved)
  changed = count_on() or followed
end
if not (cut() or changed or cools_down or configures) then
  return breaker.reply("unchanged", b, now)
end

b.born = b.born > 0 and b.born or now
changes.publish(KEYS[3], KEYS[4], now, b.retention_ms, {
  kind = "breaker_restored",
  provider = ARGV[1],
  actor = ARGV[2],
  reason = "Redis had lost the state",
  details = { "state", b.state, "breaker", breaker.as_json(b) },
})
if newer then
  redis.call("DEL", KEYS[2])
end
breaker.save(key, b, now, configures)
return breaker.reply("restored", b, now)
