-- The order of registrations, and their members: registration|process. A member |process says that
-- the process is present; registration|orphan stands for members that were lost.
local members = {}

local ORPHAN = "orphan"

-- The order of a new registration: after all others, even if the counter was lost.
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

-- The registration id, "" for a presence, and the process.
function members.split(member)
  local id, process = string.match(member, "^(.*)|(.*)$")
  return id or "", process or ""
end

-- Marks a process as present until the deadline, or longer if it already is.
function members.mark_present(key, process, deadline)
  local presence = "|" .. process
  if tonumber(redis.call("ZSCORE", key, presence) or 0) < deadline then
    redis.call("ZADD", key, string.format("%.0f", deadline), presence)
  end
end

-- The member that stands for the lost members of a registration.
function members.orphan(id)
  return id .. "|" .. ORPHAN
end

-- Gives each registration without members an orphan that expires at the deadline. Otherwise a
-- registration whose members were deleted would never expire. Processes that are alive join again
-- before the deadline.
function members.adopt_orphans(registrations, key, deadline)
  local held = {}
  for _, member in ipairs(redis.call("ZRANGE", key, 0, -1)) do
    held[members.split(member)] = true
  end
  for _, id in ipairs(redis.call("ZRANGE", registrations, 0, -1)) do
    if not held[id] then
      redis.call("ZADD", key, deadline, members.orphan(id))
    end
  end
end

-- Deletes the key if it is not a sorted set; heartbeats write it again.
function members.repair(key)
  if type(redis.pcall("ZCARD", key)) ~= "number" then
    redis.call("DEL", key)
  end
end

return members
