-- registration_register: writes registrations of one service type, and makes a process hold them.
--
-- KEYS[1]    registrations  registration id -> order of registration
-- KEYS[2]    events         the service type's stream
-- KEYS[3]    meta           the service type's revision
-- KEYS[4]    leases         process -> deadline of its lease
-- KEYS[5]    lease          the registrations that hang on the process's lease
-- KEYS[6]    process        the process's hash
-- KEYS[7]    processes      the stream of who joined and left
-- KEYS[8]    types          service types in use
-- KEYS[9..]  hashes         for each: registration:<id>, holders:<id>, breaker:<name>
-- ARGV[1]    service_type   the service type
-- ARGV[2]    holder         the registering process
-- ARGV[3]    lease_ms       how long its lease lasts without being renewed
-- ARGV[4]    retention_ms   how long the data outlives the last lease
-- ARGV[5]    mode           "register": the newest settings win; "rejoin": a process joins again
--                           after an outage and leaves existing records as they are
-- ARGV[6]    host           the process's host
-- ARGV[7]    pid            its process id there
-- ARGV[8]    version        its version of ciris_registry
-- ARGV[9..]  records        for each registration: its id; the provider's name; "1" if a program
--                           chose the settings of the breaker, else "0"; how many texts follow,
--                           and field, value, … of the record; the same of the breaker's settings
-- Returns    {"registered", now, epoch, revision before, revision after, processes, code, order,
--             configure, before, before_actor, fields, …}
--             code: "registered" (a new one), "joined" (one more holder) or "changed" (the record
--             differed); configure: "1" if the breaker has other settings; before: the old values
--             as JSON, before_actor: the process that wrote them, fields: which ones changed
-- Events     provider_registered, provider_changed; process_joined in `processes`
local clock = require("lib.clock")
local processes = require("lib.processes")
local plain_join = require("lib.plain_join")

local service_type, process = ARGV[1], ARGV[2]
local lease, overwrites = tonumber(ARGV[3]), ARGV[5] == "register"
local now, keep, lost_breakers = clock.now(), lease + tonumber(ARGV[4]), false

local reply = plain_join.register(KEYS, ARGV, now, processes)
if reply then
  return reply
end

-- Most calls end above, and need not load what follows.
local changes = require("lib.changes")
local registrations = require("lib.registrations")
local holders = require("lib.holders")
local breaker = require("lib.breaker")

-- Makes the breaker if there is none. Returns "1" if it has other settings, and whether it is new.
local function settle(key, settings, chosen)
  local left = redis.call("PTTL", key)
  if left == -2 then
    redis.call("HSET", key, unpack(settings))
    local b = breaker.load(key)
    b.born = now
    breaker.save(key, b, now, true)
    return "0", true
  end
  changes.keep(key, left == -1 and -1 or keep) -- an override without an end keeps it for good
  local all, same = plain_join.compare(key, settings, 1, #settings)
  return all and (same or not chosen) and "0" or "1"
end

local function publish(kind, reason, one, details)
  local b = breaker.load(one.breaker)
  local event = { kind = kind, provider = one.name, actor = process, reason = reason }
  event.details = registrations.details(one, b and breaker.as_json(b) or "", details)
  changes.publish(KEYS[2], KEYS[3], now, keep, event)
end

-- Writes one registration; its columns of the reply.
local function register(one)
  local record = registrations.read(one.record)
  one.order, one.listed = registrations.place(KEYS[1], KEYS[3], one.id)
  local fresh = not one.listed or holders.none(one.holders)
  if not record or (overwrites and fresh) then
    registrations.write(one.record, one.fields, process, now)
  end
  local configure, is_new = settle(one.breaker, one.settings, one.chosen)
  local code, old, by, changed = "joined", "", "", {}
  if fresh or not record then
    code = "registered"
    publish("provider_registered", "", one, {})
  elseif overwrites then
    changed, old = registrations.differences(record, one.fields)
    if #changed > 0 then
      code, by = "changed", record.registered_by or ""
      one.written = registrations.after(record, one.fields, process, now)
      local details = { "fields", table.concat(changed, " "), "before", old, "before_actor", by }
      publish("provider_changed", "registered with other settings", one, details)
      registrations.write(one.record, one.fields, process, now)
    end
  end
  lost_breakers = lost_breakers or (is_new and code == "joined")
  holders.hold(one.holders, KEYS[5], process, holders.name(service_type, one.id))
  return { code, one.order, configure, old, by, table.concat(changed, " ") }
end

processes.repair(KEYS[1], "zset")
processes.repair(KEYS[4], "zset")
changes.repair(KEYS[3])
local before, columns, at = changes.version(KEYS[3]), {}, 9
for i = 9, #KEYS, 3 do
  local one = registrations.parse(ARGV, at)
  one.record, one.holders, one.breaker, at = KEYS[i], KEYS[i + 1], KEYS[i + 2], one.after
  registrations.append(columns, register(one))
  changes.keep(one.record, keep)
  changes.keep(one.holders, keep)
end
-- Processes that remember more of a lost breaker look at it again.
if changes.version(KEYS[3])[1] == "" or lost_breakers then
  changes.bump(KEYS[3], now)
end
processes.introduce(KEYS[6], KEYS[7], process, now, lease, { ARGV[6], ARGV[7], ARGV[8] })
processes.renew(KEYS[4], process, now + lease)
processes.use(KEYS[8], service_type)
plain_join.keep_shared(KEYS, keep)
local head = plain_join.head(KEYS, now, changes.version(KEYS[3]), before[2])
return registrations.append(head, columns)
