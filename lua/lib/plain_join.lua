-- Registering what others have registered alike, as most processes of a fleet do: one more holder,
-- and no record or breaker changes. Keys and arguments are those of registration_register, whose
-- long way takes twice as long.
local plain_join = {}

local KEYS_BEFORE, ARGUMENTS_BEFORE = 8, 8

-- Whether a hash has all these fields, and with the values that follow them.
function plain_join.compare(key, args, first, last)
  local names = {}
  for i = first, last, 2 do
    names[(i - first) / 2 + 1] = args[i]
  end
  local found = redis.pcall("HMGET", key, unpack(names))
  local all, same = not found.err, true
  for i = 1, all and #names or 0 do
    all = all and found[i]
    same = same and found[i] == args[first + 2 * i - 1]
  end
  return all, all and same
end

-- The orders of the registrations and their names in the set of a lease; nil if one of them is not
-- like the one that Redis has.
local function read(keys, args)
  local orders, names, at = {}, {}, ARGUMENTS_BEFORE + 1
  for i = KEYS_BEFORE + 1, #keys, 3 do
    local id, fields = args[at], at + 4
    local settings = fields + args[at + 3] + 1
    local after = settings + args[settings - 1]
    local order, held = redis.pcall("ZSCORE", keys[1], id), redis.pcall("SCARD", keys[i + 1])
    local sound = type(order) == "string" and type(held) == "number" and held > 0
    local _, same = plain_join.compare(keys[i], args, fields, settings - 2)
    local all, alike = plain_join.compare(keys[i + 2], args, settings, after - 1)
    if not (sound and same and all and (alike or args[at + 2] ~= "1")) then
      return nil
    end
    orders[#orders + 1], names[#names + 1], at = order, args[1] .. "|" .. id, after
  end
  return orders, names
end

-- Whether the keys that all registrations share are as they should be.
local function is_sound(keys, version)
  local sound = not version.err and version[1] and version[2]
  return sound
    and type(redis.pcall("ZCARD", keys[4])) == "number"
    and type(redis.pcall("SCARD", keys[5])) == "number"
end

local function keep(key, milliseconds)
  local left = redis.call("PTTL", key)
  if left < milliseconds - math.min(milliseconds / 10, 10000) and left ~= -2 then
    redis.call("PEXPIRE", key, string.format("%.0f", milliseconds))
  end
end

-- Keeps what all registrations share.
function plain_join.keep_shared(keys, milliseconds)
  for _, i in ipairs({ 1, 3, 4, 5, 8 }) do
    keep(keys[i], milliseconds)
  end
end

-- The beginning of the reply, whose columns follow.
function plain_join.head(keys, now, version, before)
  local number = string.format("%d", redis.call("ZCARD", keys[4]))
  return { "registered", string.format("%.0f", now), version[1], before, version[2], number }
end

-- Makes the process a holder of all of them, and keeps what it uses.
local function hold(keys, process, names, milliseconds)
  redis.call("SADD", keys[5], unpack(names))
  for i = KEYS_BEFORE + 1, #keys, 3 do
    redis.call("SADD", keys[i + 1], process)
    keep(keys[i], milliseconds)
    keep(keys[i + 1], milliseconds)
    if redis.call("PTTL", keys[i + 2]) ~= -1 then -- an override without an end keeps it for good
      keep(keys[i + 2], milliseconds)
    end
  end
  plain_join.keep_shared(keys, milliseconds)
end

-- Registers all, and returns the reply; nil if one of them is not plain: then nothing is written.
function plain_join.register(keys, args, now, processes)
  local version = redis.pcall("HMGET", keys[3], "epoch", "revision")
  local orders, names = read(keys, args)
  if not (orders and is_sound(keys, version)) then
    return nil
  end
  local process, lease = args[2], tonumber(args[3])
  processes.introduce(keys[6], keys[7], process, now, lease, { args[6], args[7], args[8] })
  processes.renew(keys[4], process, now + lease)
  processes.use(keys[8], args[1])
  hold(keys, process, names, lease + args[4])
  local reply = plain_join.head(keys, now, version, version[2])
  for i, order in ipairs(orders) do
    local n = 6 * i
    reply[n + 1], reply[n + 2], reply[n + 3] = "joined", order, "0"
    reply[n + 4], reply[n + 5], reply[n + 6] = "", "", ""
  end
  return reply
end

return plain_join
