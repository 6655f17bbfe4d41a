-- Announces changes of the shared state: the revision that snapshots compare, and the event stream.
local damage = require("lib.damage")

local changes = {}

local STREAM_LENGTH = "1000"
local HOUR_MS = 3600000

local function is_error(reply)
  return type(reply) == "table" and reply.err
end

-- Keeps a key for about this long, if that is more than 0; never shortens its life. It is renewed
-- when a tenth is over, ten seconds at most: most calls then write nothing.
function changes.keep(key, milliseconds)
  local left = redis.call("PTTL", key)
  local least = milliseconds - math.min(milliseconds / 10, 10000)
  if milliseconds > 0 and left ~= -2 and left < least then
    redis.call("PEXPIRE", key, string.format("%.0f", milliseconds))
  end
end

-- Deletes `meta` if it is not a hash; the next change then starts a new epoch.
function changes.repair(meta)
  if is_error(damage.pcall("HLEN", meta)) then
    redis.call("DEL", meta)
  end
end

-- {epoch, revision} as text; {"", "0"} if there is no data.
function changes.version(meta)
  local version = redis.call("HMGET", meta, "epoch", "revision")
  return { version[1] or "", version[2] or "0" }
end

-- Appends an event without a new revision: kind, provider, actor, reason, then {field, value, …}.
-- A key that is not a stream is replaced: a damaged stream must not keep a breaker from opening.
function changes.append(stream, kind, provider, actor, reason, details)
  local entry = { "kind", kind, "provider", provider, "actor", actor, "reason", reason }
  for _, item in ipairs(details or {}) do
    entry[#entry + 1] = item
  end
  if is_error(damage.pcall("XADD", stream, "MAXLEN", "~", STREAM_LENGTH, "*", unpack(entry))) then
    redis.call("DEL", stream)
    redis.call("XADD", stream, "*", unpack(entry))
  end
  changes.keep(stream, HOUR_MS)
end

-- Takes the next revision. A new epoch marks data that starts again, for instance after a flush.
function changes.bump(meta, now)
  local epoch = string.format("%.0f", now)
  local damaged = is_error(damage.pcall("HSETNX", meta, "epoch", epoch))
  if damaged or is_error(damage.pcall("HINCRBY", meta, "revision", 1)) then
    redis.call("DEL", meta)
    redis.call("HSET", meta, "epoch", epoch, "revision", 1)
  end
  changes.keep(meta, HOUR_MS)
end

-- The version that `bump` will make.
local function next_version(meta, now)
  local found = damage.pcall("HMGET", meta, "epoch", "revision")
  local epoch, revision = found[1], found[2] or "0"
  if is_error(found) or not string.match(revision, "^-?%d+$") then
    epoch, revision = nil, 0
  end
  return { epoch or string.format("%.0f", now), string.format("%.0f", revision + 1) }
end

-- Publishes a change of what snapshots hold: takes the next revision and appends an event with it.
-- A follower at the revision before it can apply the event instead of reading the data again. The
-- event goes first: without the right to XADD, nothing is changed. `event.epoch` begins an epoch.
function changes.publish(stream, meta, now, keep, event)
  local version = next_version(meta, now)
  version[1] = event.epoch or version[1]
  local details = { "epoch", version[1], "revision", version[2] }
  for _, item in ipairs(event.details or {}) do
    details[#details + 1] = item
  end
  changes.append(stream, event.kind, event.provider, event.actor, event.reason, details)
  if event.epoch then
    redis.call("HSET", meta, "epoch", event.epoch)
  end
  changes.bump(meta, now)
  changes.keep(stream, keep)
  changes.keep(meta, keep)
end

return changes
