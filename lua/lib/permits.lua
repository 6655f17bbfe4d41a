-- The leased rights to make a trial call. A permit is written process|token.
local permits = {}

-- How many permits are out, when the next of them ends, and which are dead: past their
-- deadline, or held by a process whose lease has ended.
function permits.out(key, members, now)
  local listed = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
  local count, soonest, dead = 0, nil, {}
  for i = 1, #listed, 2 do
    local permit, deadline = listed[i], tonumber(listed[i + 1])
    local holder = string.match(permit, "^(.*)|") or ""
    local lease = tonumber(redis.call("ZSCORE", members, "|" .. holder) or 0)
    if deadline > now and lease > now then
      count = count + 1
      local ends = math.min(deadline, lease)
      soonest = math.min(soonest or ends, ends)
    else
      dead[#dead + 1] = permit
    end
  end
  return count, soonest, dead
end

-- Whether this permit is still its holder's.
function permits.valid(key, permit, now)
  local deadline = redis.call("ZSCORE", key, permit)
  return deadline and tonumber(deadline) > now
end

function permits.grant(key, permit, deadline, dead, keep)
  if #dead > 0 then
    redis.call("ZREM", key, unpack(dead))
  end
  redis.call("ZADD", key, string.format("%.0f", deadline), permit)
  redis.call("PEXPIRE", key, string.format("%.0f", keep))
end

return permits
