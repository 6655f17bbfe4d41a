-- The state of a breaker that a process remembers, compared with the one that Redis has.
local remembered = {}

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
-- A request may arrive this late, with an estimate of the time that is as old.
local LATE_MS = 5000

-- Reads `items`, field, value, … from index `first` on. Returns the state as the process has `seen`
-- it, the same with times of this server's clock, and by how many milliseconds that clock moved: it
-- was set, or is another server's.
function remembered.read(b, items, first, now, seen_at)
  local seen = { born = 0, generation = 0, changed_at = 0, cooldown_until = 0, override = "" }
  for i = first, #items, 2 do
    local number = type(b[items[i]]) == "number"
    seen[items[i]] = number and (tonumber(items[i + 1]) or 0) or items[i + 1]
  end
  local state, moved = {}, now - seen_at
  if moved > 0 and moved <= LATE_MS then
    moved = 0
  end
  for field, value in pairs(seen) do
    state[field] = value
  end
  for _, field in ipairs(TIMES) do
    if (seen[field] or 0) > 0 then
      state[field] = math.max(1, seen[field] + moved)
    end
  end
  state.changed_at = math.min(state.changed_at, now)
  return seen, state, moved
end

local function is_overridden(state, now)
  local ends = state.override_until or 0
  return state.override ~= "" and (ends == 0 or now < ends)
end

-- Whether the remembered state is the newer one. Within one life of the breaker the generation
-- says so. Else the time of the last change does, then the operator's word, then caution.
function remembered.is_newer(b, state, now, moved)
  local same = b.born == state.born
  if same and (state.generation ~= b.generation or moved ~= 0) then
    return state.generation > b.generation
  elseif state.changed_at ~= b.changed_at then
    return state.changed_at > b.changed_at
  elseif is_overridden(state, now) ~= is_overridden(b, now) then
    return is_overridden(state, now)
  end
  return b.state == "closed" and (state.state or "closed") ~= "closed"
end

-- Within one life of the breaker, totals only grow: outcomes may have been counted since.
function remembered.keep_totals(b, state)
  for _, total in ipairs({ "total_successes", "total_failures" }) do
    if b.born == state.born then
      state[total] = math.max(b[total], state[total] or 0)
    end
  end
end

-- If the server's clock was set, moves each time that the process and Redis know alike: else a
-- deadline would lie further ahead than its own length, or be over at once. Returns whether any
-- time was moved.
function remembered.follow_clock(b, seen, state, moved)
  local any = false
  if b.born == seen.born and math.abs(moved) > LATE_MS then
    for _, field in ipairs(TIMES) do
      if b[field] > 0 and b[field] == seen[field] then
        b[field], any = state[field], true
      end
    end
  end
  return any
end

return remembered
