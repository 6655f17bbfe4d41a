-- A breaker's hash: its fields, and how a script loads, saves and replies with them.
local damage = require("lib.damage")
local MOST = 2 ^ 53 -- Lua counts exactly up to here.
local breaker = {}

-- What a call needs, and the rest. Each has settings first, which have no defaults: a hash without
-- them must be configured. Then numbers, of which some change within a generation; then texts; and
-- last what no reply contains. To split a text of all names would take time in each call.
-- stylua: ignore
local CALL = {
  "failure_threshold", "retention_ms", "window_ms", "minimum_calls", "min_failing_processes",
  "generation", "consecutive_failures", "total_successes", "total_failures", "last_failure_at",
  "streak_started_at", "warned_at", "cooldown_until", "override_until", "retry_at",
  "state", "override", "window", "window_past", "failure_rate_threshold",
  settings = 5, within_generation = 13, numbers = 15, shown = 17,
}
-- stylua: ignore
local REST = {
  "recovery_timeout_ms", "success_threshold", "timeout_duration_ms", "half_open_max_calls",
  "backoff_multiplier", "max_recovery_timeout_ms",
  "probe_successes", "consecutive_openings", "opened_at", "changed_at", "born",
  "override_reason", "override_actor", settings = 6, numbers = 11, shown = 13,
}

local function as_text(value)
  return type(value) == "number" and string.format("%.0f", value) or value
end

-- Reads fields into `values`; false if a setting cannot be read. Any other missing or damaged field
-- gets the value that it has in a new breaker.
local function read(key, fields, values)
  local found = damage.pcall("HMGET", key, unpack(fields))
  for i = 1, fields.settings do
    local number = tonumber(found[i])
    if not (number and number > 0 and number <= MOST) then
      return false
    end
    values[fields[i]] = number
  end
  for i = fields.settings + 1, fields.numbers do
    local number = tonumber(found[i])
    values[fields[i]] = number and number >= -MOST and number <= MOST and number or 0
  end
  for i = fields.numbers + 1, #fields do
    values[fields[i]] = found[i] or ""
  end
  return true
end

-- The breaker, or nil if the key has none or its settings cannot be read; `for_call`: only what a
-- call needs. It records which of its fields are assigned, so that only those are written.
function breaker.load(key, for_call)
  local values, changed = {}, {}
  if not (read(key, CALL, values) and (for_call or read(key, REST, values))) then
    return nil
  end
  local state, override = values.state, values.override
  values.state = (state == "open" or state == "half_open") and state or "closed"
  values.override = (override == "open" or override == "closed") and override or ""
  local function assign(_, field, value)
    values[field], changed[field] = value, true
  end
  return setmetatable({}, { __index = values, __newindex = assign, changed = changed })
end

-- Loads the rest of a breaker; false if one of the other settings cannot be read.
function breaker.load_rest(key, b)
  return read(key, REST, getmetatable(b).__index)
end

local function add(flat, b, fields, last)
  local n = #flat
  for i = fields.settings + 1, last do
    flat[n + 1], flat[n + 2] = fields[i], as_text(b[fields[i]])
    n = n + 2
  end
  return flat
end

local function state_of(b, flat)
  return add(add(flat, b, CALL, CALL.shown), b, REST, REST.shown)
end

-- Renews the expiry, when it is short by a tenth of the retention, a second at most. Writes last:
-- the assigned fields, or with `whole` the whole state. What is refused before counts nothing.
function breaker.save(key, b, now, whole)
  local flat = whole and state_of(b, {}) or {}
  local n = #flat
  for field in pairs(getmetatable(b).changed) do
    flat[n + 1], flat[n + 2] = field, as_text(b[field])
    n = n + 2
  end
  local latest = math.max(b.retry_at, b.cooldown_until, b.override_until, now)
  local wanted, left = latest - now + b.retention_ms, redis.call("PTTL", key)
  if b.override ~= "" and b.override_until == 0 then
    redis.call("PERSIST", key)
  elseif left > wanted or left <= wanted - math.min(b.retention_ms / 10, 1000) then
    redis.call("PEXPIRE", key, as_text(wanted))
  end
  if n > 0 then
    redis.call("HSET", key, unpack(flat))
  end
end

-- The reply of a breaker script: a code, the server's time, and the state as field, value, ….
function breaker.reply(code, b, now)
  return state_of(b, { code, as_text(now) })
end

-- The same with the generation and what can have changed in it.
function breaker.reply_to_call(code, b, now)
  return add({ code, as_text(now) }, b, CALL, CALL.within_generation)
end

-- The state as JSON for an event, so that followers need not read the hash.
function breaker.as_json(b)
  return cjson.encode(state_of(b, {}))
end

return breaker
