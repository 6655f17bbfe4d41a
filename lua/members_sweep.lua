-- members_sweep: removes members whose lease has expired, and registrations without members.
--
-- KEYS[1]   registrations  registration id -> order of registration
-- KEYS[2]   members        registration|process -> lease deadline
-- KEYS[3]   events         the service type's stream
-- KEYS[4]   meta           the service type's revision
-- KEYS[5..] providers      provider:<id> of each id, in their order
-- ARGV[1]   process        the process that looks
-- ARGV[2]   lease_ms       how much longer suspicious expiries are kept
-- ARGV[3]   share          more than this share expired at once after an outage is suspicious
-- ARGV[4..] ids            registrations that may be removed
-- Returns   {"swept", id, …}  removed; what is not in ids stays for the next call
--           {"more", id, …}   these would have to be in ids too; the others are removed
--           {"kept"}          suspicious: everything stays for one more lease
-- Events    member_expired, provider_expired, members_kept
local clock = require("lib.clock")
local journal = require("lib.journal")

local process, lease, share = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock.now()
local expired = redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", string.format("%.0f", now))
local everybody = redis.call("ZRANGE", KEYS[2], 0, -1)
local suspect_until = tonumber(redis.call("HGET", KEYS[4], "suspect_until") or 0) or 0

local function keep_all()
  local deadline = string.format("%.0f", now + lease)
  for _, member in ipairs(expired) do
    redis.call("ZADD", KEYS[2], deadline, member)
  end
  redis.call("HDEL", KEYS[4], "suspect_until")
  local counts = string.format("%d of %d leases", #expired, #everybody)
  journal.event(KEYS[3], "members_kept", "", process, counts .. " expired while Redis was away")
end

if now < suspect_until and #expired > share * #everybody then
  keep_all()
  return { "kept" }
end

local members_of, provider_of = {}, {}
for _, member in ipairs(everybody) do
  local id = string.match(member, "^(.*)|") or ""
  members_of[id] = (members_of[id] or 0) + 1
end
for i = 5, #KEYS do
  provider_of[ARGV[i - 1]] = KEYS[i]
end

local removed, unknown = {}, {}

local function remove_registration(id, name)
  redis.call("ZREM", KEYS[1], id)
  redis.call("DEL", provider_of[id])
  local reason = "its last member's lease ended"
  journal.change(KEYS[3], KEYS[4], now, 0, {
    kind = "provider_expired",
    provider = name,
    by = process,
    reason = reason,
    details = { "id", id },
  })
  removed[#removed + 1] = id
end

local function remove_member(member, id, holder)
  redis.call("ZREM", KEYS[2], member)
  members_of[id] = members_of[id] - 1
  if id == "" then
    return
  end
  local name, details = string.match(id, "^[^@]+"), { "id", id, "process", holder }
  journal.event(KEYS[3], "member_expired", name, process, "its lease ended", details)
  if members_of[id] == 0 then
    remove_registration(id, name)
  end
end

for _, member in ipairs(expired) do
  local id, holder = string.match(member, "^(.*)|(.*)$")
  id = id or ""
  if id ~= "" and members_of[id] == 1 and not provider_of[id] then
    unknown[#unknown + 1] = id
  else
    remove_member(member, id, holder)
  end
end
if #unknown > 0 then
  return { "more", unpack(unknown) }
end
return { "swept", unpack(removed) }
