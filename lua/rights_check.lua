-- rights_check: tries each command that programs and scripts use, and leaves nothing behind.
--
-- KEYS[1]  rights  a key that exists only while this script runs
-- Returns  {"granted"}  the user may run all of them; else an error names all that it may not
local clock = require("lib.clock")

local key, denied, failure = KEYS[1], {}, nil

local function try(...)
  local command, reply = (...), redis.pcall(...)
  local problem = type(reply) == "table" and reply.err and tostring(reply.err)
  if not problem then
    return
  elseif string.find(problem, "can't run this command") or string.find(problem, "to run the '") then
    denied[#denied + 1] = "'" .. string.lower(command) .. "'"
  else
    failure = failure or reply
  end
end

clock.now()
try("DEL", key)
try("PTTL", key)
try("PERSIST", key)
try("PEXPIRE", key, 1)

try("HDEL", key, "a")
try("HGET", key, "a")
try("HMGET", key, "a")
try("HGETALL", key)
try("HLEN", key)
try("SCARD", key)
try("SMEMBERS", key)
try("SRANDMEMBER", key)
try("SREM", key, "a")
try("ZCARD", key)
try("ZCOUNT", key, 0, 1)
try("ZRANGE", key, 0, 0)
try("ZRANGEBYSCORE", key, 0, 1)
try("ZREVRANGE", key, 0, 0)
try("ZSCORE", key, "a")
try("ZREM", key, "a")
try("ZREMRANGEBYSCORE", key, 0, 1)
try("XREAD", "STREAMS", key, "0")
try("XREVRANGE", key, "+", "-")

-- What makes the key comes last, and only if the key can be deleted after it.
if denied[1] ~= "'del'" and not failure then
  try("HSET", key, "a", 1)
  try("HSETNX", key, "b", 1)
  try("HINCRBY", key, "a", 1)
  try("DEL", key)
  try("SADD", key, "a")
  try("DEL", key)
  try("ZADD", key, 1, "a")
  try("DEL", key)
  try("XADD", key, "*", "a", "1")
  try("DEL", key)
end

if #denied > 0 then
  local names = table.concat(denied, " ")
  return redis.error_reply("NOPERM the user has no permissions to run the " .. names .. " commands")
end
return failure or { "granted" }
