-- Heartbeats that only renew a lease, as most do: nothing is missing, suspicious or due, for
-- another process has looked after the partition in this interval. Keys and arguments are those of
-- process_heartbeat, whose long way takes several times as long.
local plain_beat = {}

local METAS = 8
local FIELDS_OF_A_PROCESS = 4

-- What the reply says of the service types; nil if one of them needs this process.
local function versions(keys, now, interval)
  local found = {}
  for i = METAS, #keys do
    local meta = redis.pcall("HMGET", keys[i], "epoch", "revision", "checked_at")
    local checked = not meta.err and meta[1] and tonumber(meta[3])
    if not checked or checked > now or now >= checked + interval then
      return nil
    end
    local n = #found
    found[n + 1], found[n + 2], found[n + 3] = meta[1], meta[2] or "0", "0"
  end
  return found
end

-- Whether the number of partitions is the one that the process knows, or it lies elsewhere.
local function has_number(key, args)
  if args[12] == "0" then
    return true
  end
  local found = redis.pcall("HMGET", key, "partitions", "origin")
  return not found.err and found[1] == args[12] and found[2] == args[13]
end

-- Renews the lease and returns the reply; for a beat of another kind, writes nothing: nil.
function plain_beat.renew(keys, args, now)
  local process, lease, keep = args[1], tonumber(args[2]), args[2] + args[3]
  local ends, losses =
    redis.pcall("ZSCORE", keys[1], process), redis.pcall("HGET", keys[6], "losses")
  losses = losses or "0"
  local alive = type(ends) == "string" and tonumber(ends) > now
  local sound = alive
    and redis.pcall("SCARD", keys[2]) == tonumber(args[5])
    and redis.pcall("HLEN", keys[3]) == FIELDS_OF_A_PROCESS
    and (type(losses) == "string" and (args[6] == "" or args[6] == losses))
  if not sound or args[7] == "1" or not has_number(keys[7], args) then
    return nil
  end
  local expired = redis.call("ZCOUNT", keys[1], "-inf", string.format("%.0f", now))
  local number = redis.call("ZCARD", keys[1])
  local found = expired <= tonumber(args[8]) * number and versions(keys, now, tonumber(args[4]))
  if not found then
    return nil
  end
  redis.call("ZADD", keys[1], string.format("%.0f", now + lease), process)
  redis.call("PEXPIRE", keys[3], args[2])
  local left = redis.call("PTTL", keys[2])
  if left ~= -2 and left < keep - math.min(keep / 10, 10000) then
    redis.call("PEXPIRE", keys[2], string.format("%.0f", keep))
  end
  local reply = { "renewed", string.format("%.0f", now), string.format("%d", expired) }
  reply[4], reply[5], reply[6], reply[7] = string.format("%d", number), losses, args[12], args[13]
  for i = 1, #found do
    reply[i + 7] = found[i]
  end
  return reply
end

return plain_beat
