-- namespace_agree: the number of partitions of a namespace, recorded by the first process.
--
-- KEYS[1]  namespace   the number of partitions, and whether a program has named it
-- ARGV[1]  partitions  the number that this process knows
-- ARGV[2]  origin      "named" | "default": whether a program has named that number
-- ARGV[3]  actor       the process
-- ARGV[4]  keep_ms     how long the record outlives the last process
-- Returns  {"agreed", partitions, origin}: those that count. A named number replaces a default one
local partitions = require("lib.partitions")

local agreed = partitions.agree(KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
return { "agreed", agreed[1], agreed[2] }
