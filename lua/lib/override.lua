-- An operator's override of a breaker, during which no outcome counts.
local override = {}

-- "open" or "closed" while an override is in force, else "".
function override.in_force(b, now)
  local lasts = b.override_until == 0 or now < b.override_until
  return lasts and b.override or ""
end

-- Whether outcomes of calls that this generation admitted count; "": unknown, as if the current.
function override.lets_count(b, now, generation)
  local current = generation == "" or tonumber(generation) == b.generation
  return current and override.in_force(b, now) == ""
end

-- The same of calls without a permit, which count only while the breaker is closed.
function override.lets_call_count(b, now, generation)
  return b.state == "closed" and override.lets_count(b, now, generation)
end

return override
