-- Leased rights to call, each named process|token: permits for probes, slots for calls in flight.
-- "Permit" stands for both here.
local leases = {}

-- When a permit is free again: at its deadline, or earlier if the lease of its process ends.
-- `known` caches the leases of processes, because most permits belong to few of them.
local function end_of(leases_key, permit, deadline, known)
  local process = string.match(permit, "^(.*)|") or ""
  local lease = known[process]
  if not lease then
    lease = tonumber(redis.call("ZSCORE", leases_key, process) or 0)
    known[process] = lease
  end
  return math.min(deadline, lease)
end

-- How many permits are out, when the first of them ends, and which have expired.
function leases.out(key, leases_key, now)
  local listed = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
  local count, soonest, expired, known = 0, nil, {}, {}
  for i = 1, #listed, 2 do
    local ends = end_of(leases_key, listed[i], tonumber(listed[i + 1]), known)
    if ends > now then
      count = count + 1
      soonest = math.min(soonest or ends, ends)
    else
      expired[#expired + 1] = listed[i]
    end
  end
  return count, soonest, expired
end

-- The deadline of a permit that is out, else nil.
function leases.held(key, leases_key, permit, now)
  local deadline = redis.call("ZSCORE", key, permit)
  if deadline and end_of(leases_key, permit, tonumber(deadline), {}) > now then
    return deadline
  end
  return nil
end

-- Grants a permit and removes the expired ones; keeps the key for at least `keep` milliseconds.
function leases.grant(key, permit, deadline, expired, keep)
  -- One by one: there may be more than Lua can unpack.
  for _, one in ipairs(expired) do
    redis.call("ZREM", key, one)
  end
  redis.call("ZADD", key, string.format("%.0f", deadline), permit)
  -- An earlier grant may have kept the key for longer.
  if redis.call("PTTL", key) < keep then
    redis.call("PEXPIRE", key, string.format("%.0f", keep))
  end
end

return leases
