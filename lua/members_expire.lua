-- members_expire: removes members whose lease has expired, and registrations without members.
--
-- KEYS[1]    registrations  registration id -> order of registration
-- KEYS[2]    members        registration|process -> lease deadline
-- KEYS[3]    events         the service type's stream
-- KEYS[4]    meta           the service type's revision
-- KEYS[5..]  providers      provider:<id> of each id, in their order
-- ARGV[1]    process        the process that looks
-- ARGV[2]    lease_ms       how much longer suspicious expiries are kept
-- ARGV[3]    share          more than this share expired at once after an outage is suspicious
-- ARGV[4..]  ids            registrations that may be removed
-- Returns   {"swept", id, …}  removed; what is not in ids stays for the next call
--           {"more", id, …}   these would have to be in ids too; the others are removed
--           {"kept", id, …}   suspicious: members stay for one more lease; removed are those of
--                         whom that is over
-- Events    member_expired, provider_expired, expiry_suspended
local clock = require("lib.clock")
local changes = require("lib.changes")
local members = require("lib.members")

local process, lease, share = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock.now()
local function noted(field)
  return tonumber(redis.call("HGET", KEYS[4], field) or 0) or 0
end

local last = string.format("%.0f", now)
local expired = redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", last, "WITHSCORES")
local everybody = redis.call("ZRANGE", KEYS[2], 0, -1)
local kept_until = noted("kept_until")

-- A lease that was kept has that end, and is not kept again unless its process has renewed it.
local fresh, over = {}, {}
for i = 1, #expired, 2 do
  local list = tonumber(expired[i + 1]) == kept_until and over or fresh
  list[#list + 1] = expired[i]
end
-- Many at once: now, or when the first heartbeat after the outage came.
local many = #fresh > share * #everybody or now < noted("many_until")
local reply = { "swept" }

local function keep()
  local deadline = string.format("%.0f", kept_until > now and kept_until or now + lease)
  for _, member in ipairs(fresh) do
    redis.call("ZADD", KEYS[2], deadline, member)
  end
  redis.call("HSET", KEYS[4], "kept_until", deadline)
  local counts = string.format("%d of %d leases", #fresh, #everybody)
  changes.event(KEYS[3], "expiry_suspended", "", process, counts .. " expired while Redis was away")
end

if #fresh > 0 and many and now < noted("suspect_until") then
  keep()
  reply[1] = "kept"
else
  for _, member in ipairs(fresh) do
    over[#over + 1] = member
  end
end

local members_of, provider_of = {}, {}
for _, member in ipairs(everybody) do
  local id = members.parts(member)
  members_of[id] = (members_of[id] or 0) + 1
end
for i = 5, #KEYS do
  provider_of[ARGV[i - 1]] = KEYS[i]
end

local function remove_registration(id, name)
  redis.call("ZREM", KEYS[1], id)
  redis.call("DEL", provider_of[id])
  changes.change(KEYS[3], KEYS[4], now, 0, {
    kind = "provider_expired",
    provider = name,
    actor = process,
    reason = "its last member's lease ended",
    details = { "id", id },
  })
  reply[#reply + 1] = id
end

local unknown = { "more" }
for _, member in ipairs(over) do
  local id, holder = members.parts(member)
  if id ~= "" and members_of[id] == 1 and not provider_of[id] then
    unknown[#unknown + 1] = id
  else
    redis.call("ZREM", KEYS[2], member)
    members_of[id] = members_of[id] - 1
    local name, details = string.match(id, "^[^@]+") or "", { "id", id, "process", holder }
    if id ~= "" and member ~= members.nobody(id) then
      changes.event(KEYS[3], "member_expired", name, process, "its lease ended", details)
    end
    if id ~= "" and members_of[id] == 0 then
      remove_registration(id, name)
    end
  end
end
members.adopt(KEYS[1], KEYS[2], string.format("%.0f", now + lease))
return #unknown > 1 and unknown or reply
