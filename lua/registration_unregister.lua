-- registration_unregister: ends the hold of a process on registrations of one service type, and
-- removes those that have no other holder.
--
-- KEYS[1]    registrations  registration id -> order of registration
-- KEYS[2]    events         the service type's stream
-- KEYS[3]    meta           the service type's revision
-- KEYS[4]    lease          the registrations that hang on the process's lease
-- KEYS[5..]  hashes         for each registration: registration:<id>, holders:<id>
-- ARGV[1]    service_type   the service type
-- ARGV[2]    holder         the leaving process
-- ARGV[3..]  ids            for each registration: its id, the provider's name
-- Returns    {"unregistered", code, …}  for each registration: "removed" (it is gone), "left"
--                                       (others hold it), "absent" (the process did not) or
--                                       "damaged" (who holds it cannot be read: it stays until
--                                       registration_check finds it without holders)
-- Events     provider_unregistered
local clock = require("lib.clock")
local changes = require("lib.changes")
local holders = require("lib.holders")

local HEAD, COLUMNS = 2, 2
local service_type, process = ARGV[1], ARGV[2]
local now = clock.now()

local function unregister(record, holders_key, id, name)
  local held = holders.name(service_type, id)
  local code = holders.release(holders_key, KEYS[4], process, held)
  if code ~= "last" then
    return code == "unheld" and "absent" or code
  end
  changes.publish(KEYS[2], KEYS[3], now, 0, {
    kind = "provider_unregistered",
    provider = name,
    actor = process,
    reason = "",
    details = { "id", id },
  })
  holders.remove(holders_key, KEYS[4], held, KEYS[1], record, id)
  return "removed"
end

local reply = { "unregistered" }
for i = 5, #KEYS, COLUMNS do
  local at = HEAD + 1 + (i - 5)
  reply[#reply + 1] = unregister(KEYS[i], KEYS[i + 1], ARGV[at], ARGV[at + 1])
end
return reply
