-- Marks of breakers that were forgotten on purpose: the field forgotten:<name> of the service
-- type's meta is the time. No process puts back what was last changed before it.
local damage = require("lib.damage")
local forgotten = {}

local PREFIX = "forgotten:"

function forgotten.mark(meta, name, now)
  redis.call("HSET", meta, PREFIX .. name, string.format("%.0f", now))
end

-- Whether a remembered state of the breaker, field, value, … from index `first` on, was last
-- changed before the mark. A mark of a clock that was ahead does not count.
function forgotten.covers(meta, name, items, first, now)
  local at = damage.pcall("HGET", meta, PREFIX .. name)
  at = type(at) == "string" and tonumber(at) or 0
  if at == 0 or at > now then
    return false
  end
  for i = first, #items, 2 do
    local time = items[i] == "changed_at" or items[i] == "born"
    if time and (tonumber(items[i + 1]) or 0) > at then
      return false
    end
  end
  return true
end

-- Removes the marks that are older than `keep` milliseconds.
function forgotten.clear_old(meta, now, keep)
  local flat = redis.call("HGETALL", meta)
  for i = 1, #flat, 2 do
    local at = string.sub(flat[i], 1, #PREFIX) == PREFIX and tonumber(flat[i + 1])
    if at and (at + keep <= now or at > now) then
      redis.call("HDEL", meta, flat[i])
    end
  end
end

return forgotten
