-- Leased rights to call: permits for trial calls, and slots of those that may go on at one time.
-- Either is written process|token.
local leases = {}

-- When it is free again: at its deadline, or when its holder's lease ends. Of many permits, most
-- have one of a few holders, whose known are remembered.
local function ends(members, permit, deadline, known)
  local holder = string.match(permit, "^(.*)|") or ""
  local lease = known[holder]
  if not lease then
    lease = tonumber(redis.call("ZSCORE", members, "|" .. holder) or 0)
    known[holder] = lease
  end
  return math.min(deadline, lease)
end

-- How many permits are out, when the next of them ends, and which are dead.
function leases.out(key, members, now)
  local listed = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
  local count, soonest, dead, known = 0, nil, {}, {}
  for i = 1, #listed, 2 do
    local over = ends(members, listed[i], tonumber(listed[i + 1]), known)
    if over > now then
      count = count + 1
      soonest = math.min(soonest or over, over)
    else
      dead[#dead + 1] = listed[i]
    end
  end
  return count, soonest, dead
end

-- The deadline of this permit while it is its holder's, else nil.
function leases.held(key, members, permit, now)
  local deadline = redis.call("ZSCORE", key, permit)
  if deadline and ends(members, permit, tonumber(deadline), {}) > now then
    return deadline
  end
  return nil
end

function leases.grant(key, permit, deadline, dead, keep)
  -- One by one: there may be more than Lua can unpack.
  for _, one in ipairs(dead) do
    redis.call("ZREM", key, one)
  end
  redis.call("ZADD", key, string.format("%.0f", deadline), permit)
  -- Others may have been granted for longer.
  if redis.call("PTTL", key) < keep then
    redis.call("PEXPIRE", key, string.format("%.0f", keep))
  end
end

return leases
