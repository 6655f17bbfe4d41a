-- members_expire: removes members whose lease has expired, and registrations without members.
--
-- KEYS[1]    registrations  registration id -> order of registration
-- KEYS[2]    members        registration|process -> lease deadline
-- KEYS[3]    events         the service type's stream
-- KEYS[4]    meta           the service type's revision
-- KEYS[5..]  records        registration:<id> of each id
-- ARGV[1]    process        the calling process
-- ARGV[2]    lease_ms       how much longer a suspicious lease is kept
-- ARGV[3]    share          a mass expiry: more than this share of the leases expired at once
-- ARGV[4..]  ids            the registrations that may be removed
-- Returns    {"expired", id, …}    the registrations that were removed
--            {"more", id, …}       registrations to remove that are not in ids: call again with
--                                  them in ids; the others are removed
--            {"suspended", id, …}  a mass expiry after an outage: its leases are kept once more;
--                                  the ids are removed registrations that had been kept before
-- Events     member_expired, provider_expired, expiry_suspended
local clock = require("lib.clock")
local changes = require("lib.changes")
local members = require("lib.members")

local process, lease, share = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock.now()
local function time_of(field)
  return tonumber(redis.call("HGET", KEYS[4], field) or 0) or 0
end

local last = string.format("%.0f", now)
local expired = redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", last, "WITHSCORES")
local all = redis.call("ZRANGE", KEYS[2], 0, -1)
local suspended_until = time_of("suspended_until")

-- A lease that was kept once has that deadline. It is not kept again unless it is renewed.
local fresh, final = {}, {}
for i = 1, #expired, 2 do
  local list = tonumber(expired[i + 1]) == suspended_until and final or fresh
  list[#list + 1] = expired[i]
end
-- A mass expiry now, or at the first heartbeat after the outage.
local mass_expiry = #fresh > share * #all or now < time_of("mass_expiry_until")
local reply = { "expired" }

local function suspend()
  local deadline = string.format("%.0f", suspended_until > now and suspended_until or now + lease)
  for _, member in ipairs(fresh) do
    redis.call("ZADD", KEYS[2], deadline, member)
  end
  redis.call("HSET", KEYS[4], "suspended_until", deadline)
  local reason = string.format("%d of %d leases expired while Redis was away", #fresh, #all)
  changes.append(KEYS[3], "expiry_suspended", "", process, reason)
end

if #fresh > 0 and mass_expiry and now < time_of("suspect_until") then
  suspend()
  reply[1] = "suspended"
else
  for _, member in ipairs(fresh) do
    final[#final + 1] = member
  end
end

local members_of, record_of = {}, {}
for _, member in ipairs(all) do
  local id = members.split(member)
  members_of[id] = (members_of[id] or 0) + 1
end
for i = 5, #KEYS do
  record_of[ARGV[i - 1]] = KEYS[i]
end

local function remove_registration(id, name)
  redis.call("ZREM", KEYS[1], id)
  redis.call("DEL", record_of[id])
  changes.publish(KEYS[3], KEYS[4], now, 0, {
    kind = "provider_expired",
    provider = name,
    actor = process,
    reason = "the lease of its last member expired",
    details = { "id", id },
  })
  reply[#reply + 1] = id
end

local more = { "more" }
for _, member in ipairs(final) do
  local id, holder = members.split(member)
  if id ~= "" and members_of[id] == 1 and not record_of[id] then
    more[#more + 1] = id
  else
    redis.call("ZREM", KEYS[2], member)
    members_of[id] = members_of[id] - 1
    local name, details = string.match(id, "^[^@]+") or "", { "id", id, "process", holder }
    if id ~= "" and member ~= members.orphan(id) then
      changes.append(KEYS[3], "member_expired", name, process, "its lease expired", details)
    end
    if id ~= "" and members_of[id] == 0 then
      remove_registration(id, name)
    end
  end
end
members.adopt_orphans(KEYS[1], KEYS[2], string.format("%.0f", now + lease))
return #more > 1 and more or reply
