-- cursor_take: takes the next positions of one round robin.
--
-- KEYS[1]  cursors       round-robin positions
-- ARGV[1]  cursor        handler|group|priority
-- ARGV[2]  steps         how many positions; 0: only read the next one
-- ARGV[3]  retention_ms  how long a cursor outlives its last use
-- Returns  {"taken", position}  the first of the positions
local cursor = require("lib.cursor")
local changes = require("lib.changes")

local position = cursor.take(KEYS[1], ARGV[1], ARGV[2])
if ARGV[2] ~= "0" then
  changes.keep(KEYS[1], tonumber(ARGV[3]))
end
return { "taken", position }
