-- slot_release: calls have ended, and their slots are free again.
--
-- KEYS[1]    slots  process|token -> deadline
-- ARGV[1..]  held   the slots
-- Returns   {"released", n}  so many were still taken
local count = 0
for _, slot in ipairs(ARGV) do
  count = count + redis.call("ZREM", KEYS[1], slot)
end
return { "released", count }
