-- Says that shared state changed: the revision that snapshots compare, and the event stream.
local changes = {}

local STREAM_LENGTH = "1000"
local AN_HOUR = 3600000

local function failed(reply)
  return type(reply) == "table" and reply.err
end

-- Keeps a key for at least this long; one with a longer life is left alone.
function changes.keep(key, milliseconds)
  local left = redis.call("PTTL", key)
  if left ~= -2 and left < milliseconds then
    redis.call("PEXPIRE", key, string.format("%.0f", milliseconds))
  end
end

-- What is no hash goes; the next change begins a new life of the data.
function changes.mend(meta)
  if failed(redis.pcall("HLEN", meta)) then
    redis.call("DEL", meta)
  end
end

-- {epoch, revision}, as text; {"", "0"} where there is no data.
function changes.version(meta)
  local version = redis.call("HMGET", meta, "epoch", "revision")
  return { version[1] or "", version[2] or "0" }
end

-- One event: its kind, the provider it is about, who did it and why, then {field, value, …}.
-- A stream that somebody damaged begins anew: it must not keep a breaker from opening.
function changes.event(stream, kind, provider, actor, reason, details)
  local entry = { "kind", kind, "provider", provider, "actor", actor, "reason", reason }
  for _, item in ipairs(details or {}) do
    entry[#entry + 1] = item
  end
  if failed(redis.pcall("XADD", stream, "MAXLEN", "~", STREAM_LENGTH, "*", unpack(entry))) then
    redis.call("DEL", stream)
    redis.call("XADD", stream, "*", unpack(entry))
  end
  changes.keep(stream, AN_HOUR)
end

-- The next revision. The epoch tells a new life of the data (after a flush) from the old one.
function changes.bump(meta, now)
  local epoch = string.format("%.0f", now)
  local damaged = failed(redis.pcall("HSETNX", meta, "epoch", epoch))
  if damaged or failed(redis.pcall("HINCRBY", meta, "revision", 1)) then
    redis.call("DEL", meta)
    redis.call("HSET", meta, "epoch", epoch, "revision", 1)
  end
  changes.keep(meta, AN_HOUR)
end

-- A change of what snapshots hold: the next revision, and the event that says which one it is.
-- Whoever knows the revision before it can go on from the event alone, if that tells the state.
function changes.change(stream, meta, now, keep, event)
  changes.bump(meta, now)
  local version = changes.version(meta)
  local details = { "epoch", version[1], "revision", version[2] }
  for _, item in ipairs(event.details or {}) do
    details[#details + 1] = item
  end
  changes.event(stream, event.kind, event.provider, event.actor, event.reason, details)
  changes.keep(stream, keep)
  changes.keep(meta, keep)
end

return changes
