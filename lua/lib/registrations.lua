-- Registrations: their order, their records, and what an event says of them.
local damage = require("lib.damage")
local registrations = {}

-- The order of a new registration: after all others, even if the counter was lost.
function registrations.next_order(key, meta)
  local last = redis.call("ZREVRANGE", key, 0, 0, "WITHSCORES")
  local highest = tonumber(last[2] or 0)
  local order = damage.pcall("HINCRBY", meta, "registered", 1)
  if type(order) ~= "number" or order <= highest then
    order = math.floor(highest) + 1
    redis.call("HSET", meta, "registered", string.format("%.0f", order))
  end
  return string.format("%.0f", order)
end

-- The record, or nil if there is none or it cannot be read.
function registrations.read(key)
  local flat = damage.pcall("HGETALL", key)
  if flat.err then
    redis.call("DEL", key)
    return nil
  end
  local record = {}
  for i = 1, #flat, 2 do
    record[flat[i]] = flat[i + 1]
  end
  return #flat > 0 and record or nil
end

-- The registration whose id is at this place of the arguments; `after` is the next place.
function registrations.parse(arguments, at)
  local function texts(first)
    local after = first + 1 + tonumber(arguments[first])
    return { unpack(arguments, first + 1, after - 1) }, after
  end
  local one = { id = arguments[at], name = arguments[at + 1], chosen = arguments[at + 2] == "1" }
  one.fields, at = texts(at + 3)
  one.settings, one.after = texts(at)
  return one
end

function registrations.write(key, fields, process, now)
  local at = string.format("%.0f", now)
  redis.call("HSET", key, "registered_by", process, "registered_at", at, unpack(fields))
end

-- Appends items one by one: there may be more than Lua can unpack.
function registrations.append(list, items)
  for _, item in ipairs(items) do
    list[#list + 1] = item
  end
  return list
end

-- A record as it will be with these fields, as field, value, ….
function registrations.after(record, fields, process, now)
  record.registered_by, record.registered_at = process, string.format("%.0f", now)
  for i = 1, #fields, 2 do
    record[fields[i]] = fields[i + 1]
  end
  local flat = {}
  for field, value in pairs(record) do
    registrations.append(flat, { field, value })
  end
  return flat
end

-- What an event says of a registration, so that followers need not read it.
function registrations.details(one, breaker, more)
  local record = cjson.encode(one.written or redis.call("HGETALL", one.record))
  local settings = cjson.encode(registrations.fields(one.breaker, one.settings))
  local placed = { "id", one.id, "order", one.order, "record", record }
  registrations.append(placed, { "settings", settings, "breaker", breaker })
  return registrations.append(placed, more)
end

-- The order of a registration, which is listed if it is not yet, and whether it was.
function registrations.place(key, meta, id)
  local order = redis.call("ZSCORE", key, id)
  if order then
    return order, true
  end
  order = registrations.next_order(key, meta)
  redis.call("ZADD", key, order, id)
  return order, false
end

-- The names of the fields that differ, and their values in the record as JSON; "" if none does.
function registrations.differences(record, fields)
  local changed, before = {}, {}
  for i = 1, #fields, 2 do
    local name = fields[i]
    if record[name] ~= fields[i + 1] then
      changed[#changed + 1] = name
      before[name] = record[name] or ""
    end
  end
  return changed, #changed > 0 and cjson.encode(before) or ""
end

-- The fields of a hash that a flat list of field, value, … names, as such a list; empty if the hash
-- lacks one of them.
function registrations.fields(key, wanted)
  local names = {}
  for i = 1, #wanted, 2 do
    names[#names + 1] = wanted[i]
  end
  local values, flat = damage.pcall("HMGET", key, unpack(names)), {}
  for i, name in ipairs(names) do
    if values.err or not values[i] then
      return {}
    end
    flat[#flat + 1] = name
    flat[#flat + 1] = values[i]
  end
  return flat
end

return registrations
