-- Says that shared state changed: the revision that snapshots compare, and the event stream.
local journal = {}

local STREAM_LENGTH = "1000"
local AN_HOUR = 3600000

-- Keeps a key for at least this long; one with a longer life is left alone.
function journal.keep(key, milliseconds)
  local left = redis.call("PTTL", key)
  if left ~= -2 and left < milliseconds then
    redis.call("PEXPIRE", key, string.format("%.0f", milliseconds))
  end
end

-- One event: its kind, the provider it is about, who did it and why, then {field, value, …}.
function journal.event(stream, kind, provider, actor, reason, details)
  local entry = { "kind", kind, "provider", provider, "by", actor, "reason", reason }
  for _, item in ipairs(details or {}) do
    entry[#entry + 1] = item
  end
  redis.call("XADD", stream, "MAXLEN", "~", STREAM_LENGTH, "*", unpack(entry))
  journal.keep(stream, AN_HOUR)
end

-- The next revision. The epoch tells a new life of the data (after a flush) from the old one.
function journal.bump(meta, now)
  redis.call("HSETNX", meta, "epoch", string.format("%.0f", now))
  redis.call("HINCRBY", meta, "revision", 1)
  journal.keep(meta, AN_HOUR)
end

-- {epoch, revision}, as text; {"", "0"} where there is no data.
function journal.version(meta)
  local version = redis.call("HMGET", meta, "epoch", "revision")
  return { version[1] or "", version[2] or "0" }
end

return journal
