-- Tells a key that is damaged, which a script replaces, from what the server refuses.
local damage = {}

-- As redis.pcall, but raises any error that does not say that the key is damaged. Sound data must
-- not be replaced because a right is missing or the memory is full.
function damage.pcall(...)
  local reply = redis.pcall(...)
  if type(reply) ~= "table" or not reply.err then
    return reply
  end
  local signs = { "WRONGTYPE", "integer", "float", "overflow", "equal or smaller", "exhausted" }
  for _, sign in ipairs(signs) do
    if string.find(tostring(reply.err), sign, 1, true) then
      return reply
    end
  end
  return redis.call(...)
end

return damage
