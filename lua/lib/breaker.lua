-- A breaker's hash: its fields, and how a script loads, saves and replies with them.
local breaker = {}

local function split(line)
  local names = {}
  for name in string.gmatch(line, "%S+") do
    names[#names + 1] = name
  end
  return names
end

-- Settings have no defaults: a hash without them must be configured first.
local SETTINGS = split(
  "failure_threshold recovery_timeout_ms success_threshold timeout_duration_ms retention_ms "
    .. "half_open_max_calls window_ms minimum_calls backoff_multiplier max_recovery_timeout_ms "
    .. "min_failing_processes"
)

local NUMERIC = "generation consecutive_failures probe_successes consecutive_openings opened_at "
  .. "retry_at changed_at last_failure_at streak_started_at warned_at cooldown_until "
  .. "override_until total_successes total_failures born"
local NUMBERS = split(NUMERIC)
local TEXTS = split("state override override_reason override_actor")
local STATE_FIELDS = split(table.concat(TEXTS, " ") .. " " .. NUMERIC)

local STATES = { closed = true, open = true, half_open = true }
local OVERRIDES = { open = true, closed = true }

-- The value as a number, or nil if it is not finite or too large to be exact.
local function finite(value)
  local number = tonumber(value)
  return number and number == number and math.abs(number) <= 2 ^ 53 and number or nil
end

local function as_text(value)
  return type(value) == "number" and string.format("%.0f", value) or value
end

-- A table that records which of its fields were assigned, so that only those are written.
local function tracked(values)
  local meta = { __index = values, changed = {} }
  function meta.__newindex(_, field, value)
    values[field], meta.changed[field] = value, true
  end
  return setmetatable({}, meta)
end

-- The breaker, or nil if the key has none or its settings cannot be read. Any other missing or
-- damaged field gets the value that it has in a new breaker.
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
  for _, field in ipairs(NUMBERS) do
    values[field] = finite(values[field]) or 0
  end
  for _, field in ipairs(TEXTS) do
    values[field] = values[field] or ""
  end
  values.failure_rate_threshold = finite(values.failure_rate_threshold)
  values.state = STATES[values.state] and values.state or "closed"
  values.override = OVERRIDES[values.override] and values.override or ""
  return tracked(values)
end

local function state_of(b)
  local flat = {}
  for _, field in ipairs(STATE_FIELDS) do
    flat[#flat + 1] = field
    flat[#flat + 1] = as_text(b[field])
  end
  return flat
end

-- Writes the assigned fields, or with `whole` the whole state, and renews the expiry.
function breaker.save(key, b, now, whole)
  local flat = whole and state_of(b) or {}
  for field in pairs(getmetatable(b).changed) do
    flat[#flat + 1] = field
    flat[#flat + 1] = as_text(b[field])
  end
  if #flat > 0 then
    redis.call("HSET", key, unpack(flat))
  end
  if b.override ~= "" and b.override_until == 0 then
    redis.call("PERSIST", key)
  else
    local last = math.max(b.retry_at, b.cooldown_until, b.override_until, now)
    redis.call("PEXPIRE", key, as_text(last - now + b.retention_ms))
  end
end

-- "open" or "closed" while an operator's override is in force, else "".
function breaker.override(b, now)
  local in_force = b.override_until == 0 or now < b.override_until
  return in_force and b.override or ""
end

-- The reply of a breaker script: a code, the server's time, and the state as field, value, ….
function breaker.reply(code, b, now)
  return { code, as_text(now), unpack(state_of(b)) }
end

-- The state as JSON for an event, so that followers need not read the hash.
function breaker.as_json(b)
  return cjson.encode(state_of(b))
end

return breaker
