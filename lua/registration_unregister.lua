-- registration_unregister: ends one membership, and removes the registration with its last member.
--
-- KEYS[1]  registrations  registration id -> order of registration
-- KEYS[2]  registration   the registration record
-- KEYS[3]  members        registration|process -> lease deadline
-- KEYS[4]  events         the service type's stream
-- KEYS[5]  meta           the service type's revision
-- ARGV[1]  id             the registration id
-- ARGV[2]  name           the provider's name
-- ARGV[3]  process        the leaving process
-- Returns  {"removed"}    the registration is gone
--          {"left"}       other members remain
--          {"absent"}     the process was not a member
-- Events   provider_unregistered, member_left
local clock = require("lib.clock")
local changes = require("lib.changes")
local members = require("lib.members")

local id, name, process = ARGV[1], ARGV[2], ARGV[3]
local orphan = members.orphan(id)
if redis.call("ZREM", KEYS[3], id .. "|" .. process) == 0 then
  return { "absent" }
end
local prefix = id .. "|"
for _, member in ipairs(redis.call("ZRANGE", KEYS[3], 0, -1)) do
  if string.sub(member, 1, #prefix) == prefix and member ~= orphan then
    changes.append(KEYS[4], "member_left", name, process, "", { "id", id })
    return { "left" }
  end
end
redis.call("ZREM", KEYS[3], orphan)
redis.call("ZREM", KEYS[1], id)
redis.call("DEL", KEYS[2])
changes.publish(KEYS[4], KEYS[5], clock.now(), 0, {
  kind = "provider_unregistered",
  provider = name,
  actor = process,
  reason = "",
  details = { "id", id },
})
return { "removed" }
