-- What a breaker's hash means: its fields, how it is read, written and shown.
local breaker = {}

local function words(line)
  local list = {}
  for word in string.gmatch(line, "%S+") do
    list[#list + 1] = word
  end
  return list
end

-- Settings have no defaults here: a breaker without them is configured by its owner first.
local SETTINGS = words(
  "failure_threshold recovery_timeout_ms success_threshold timeout_duration_ms retention_ms "
    .. "half_open_max_calls window_ms minimum_calls backoff_multiplier max_recovery_timeout_ms "
    .. "min_failing_processes"
)

local COUNTED = "generation consecutive_failures probe_successes consecutive_openings opened_at "
  .. "retry_at changed_at last_failure_at streak_started_at warned_at cooldown_until "
  .. "override_until total_successes total_failures"
local COUNTERS = words(COUNTED)
local WORDS = words("state override override_reason override_actor")
local EVERYTHING = words(table.concat(WORDS, " ") .. " " .. COUNTED)

local STATES = { closed = true, open = true, half_open = true }
local OVERRIDES = { open = true, closed = true }

-- A number that can be counted on, or nil.
local function finite(value)
  local number = tonumber(value)
  return number and number == number and math.abs(number) <= 2 ^ 53 and number or nil
end

local function written(value)
  return type(value) == "number" and string.format("%.0f", value) or value
end

-- A table that remembers which of its fields were assigned, so that only those are written.
local function tracked(values)
  local meta = { __index = values, changed = {} }
  function meta.__newindex(_, field, value)
    values[field], meta.changed[field] = value, true
  end
  return setmetatable({}, meta)
end

-- The breaker, or nil where there is none or its settings cannot be read. What else is
-- missing or damaged reads as a breaker that has seen nothing.
function breaker.load(key)
  local flat = redis.pcall("HGETALL", key)
  if flat.err then
    return nil
  end
  local values = {}
  for i = 1, #flat, 2 do
    values[flat[i]] = flat[i + 1]
  end
  for _, field in ipairs(SETTINGS) do
    values[field] = finite(values[field])
    if not values[field] or values[field] <= 0 then
      return nil
    end
  end
  for _, field in ipairs(COUNTERS) do
    values[field] = finite(values[field]) or 0
  end
  for _, field in ipairs(WORDS) do
    values[field] = values[field] or ""
  end
  values.failure_rate_threshold = finite(values.failure_rate_threshold)
  values.state = STATES[values.state] and values.state or "closed"
  values.override = OVERRIDES[values.override] and values.override or ""
  return tracked(values)
end

local function state(b)
  local flat = {}
  for _, field in ipairs(EVERYTHING) do
    flat[#flat + 1] = field
    flat[#flat + 1] = written(b[field])
  end
  return flat
end

-- Writes what was assigned, or everything, and keeps the hash as long as it can matter.
function breaker.save(key, b, now, everything)
  local flat = everything and state(b) or {}
  for field in pairs(getmetatable(b).changed) do
    flat[#flat + 1] = field
    flat[#flat + 1] = written(b[field])
  end
  if #flat > 0 then
    redis.call("HSET", key, unpack(flat))
  end
  if b.override ~= "" and b.override_until == 0 then
    redis.call("PERSIST", key)
  else
    local last = math.max(b.retry_at, b.cooldown_until, b.override_until, now)
    redis.call("PEXPIRE", key, written(last - now + b.retention_ms))
  end
end

-- "open" or "closed" while an operator's word stands, else "".
function breaker.override(b, now)
  local stands = b.override_until == 0 or now < b.override_until
  return stands and b.override or ""
end

-- The reply of every breaker script: a word, the server's time, the state as field, value, ….
function breaker.reply(word, b, now)
  return { word, written(now), unpack(state(b)) }
end

-- The state as JSON, for an event: followers need not ask for it.
function breaker.told(b)
  return cjson.encode(state(b))
end

return breaker
