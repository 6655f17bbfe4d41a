-- The order of registrations, and who holds them: their members, written registration|process.
local members = {}

local NOBODY = "nobody"

-- The place of a new registration: behind all others, also where the counter was lost.
function members.next_order(registrations, meta)
  local last = redis.call("ZREVRANGE", registrations, 0, 0, "WITHSCORES")
  local highest = tonumber(last[2] or 0)
  local order = redis.pcall("HINCRBY", meta, "registered", 1)
  if type(order) ~= "number" or order <= highest then
    order = math.floor(highest) + 1
    redis.call("HSET", meta, "registered", string.format("%.0f", order))
  end
  return string.format("%.0f", order)
end

-- The registration's id, "" for a process's presence; and the process.
function members.parts(member)
  local id, process = string.match(member, "^(.*)|(.*)$")
  return id or "", process or ""
end

-- A process is present until the deadline, at least.
function members.present(key, process, deadline)
  local presence = "|" .. process
  if tonumber(redis.call("ZSCORE", key, presence) or 0) < deadline then
    redis.call("ZADD", key, string.format("%.0f", deadline), presence)
  end
end

-- What stands for the members of a registration that have been lost.
function members.nobody(id)
  return id .. "|" .. NOBODY
end

-- Whoever deletes members must not make registrations immortal: each that has none is held by
-- nobody until the deadline. By then, whoever lives has come back.
function members.adopt(registrations, key, deadline)
  local held = {}
  for _, member in ipairs(redis.call("ZRANGE", key, 0, -1)) do
    held[members.parts(member)] = true
  end
  for _, id in ipairs(redis.call("ZRANGE", registrations, 0, -1)) do
    if not held[id] then
      redis.call("ZADD", key, deadline, members.nobody(id))
    end
  end
end

-- What is no sorted set goes: the processes that live write it anew with their heartbeats.
function members.mend(key)
  if type(redis.pcall("ZCARD", key)) ~= "number" then
    redis.call("DEL", key)
  end
end

return members
