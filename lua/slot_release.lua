-- slot_release: frees the slots of calls that have ended.
--
-- KEYS[1]    slots  process|token -> deadline
-- ARGV[1..]  held   the slots
-- Returns    {"released", n}  n: how many of them were still taken
local count = 0
for _, slot in ipairs(ARGV) do
  count = count + redis.call("ZREM", KEYS[1], slot)
end
return { "released", count }
