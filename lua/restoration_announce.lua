-- restoration_announce: writes the event that says what a process has put back after a loss.
--
-- KEYS[1]  events         the service type's stream
-- ARGV[1]  process        the process that has put it back
-- ARGV[2]  reason         what was lost
-- ARGV[3]  breakers       the names of the breakers, separated by spaces
-- ARGV[4]  registrations  how many registrations of its own the process has written again
-- Returns  {"announced", now}
-- Events   state_restored; without a new revision, because other processes do not act on it
local clock = require("lib.clock")
local changes = require("lib.changes")

local details = { "breakers", ARGV[3], "registrations", ARGV[4] }
changes.append(KEYS[1], "state_restored", "", ARGV[1], ARGV[2], details)
return { "announced", string.format("%.0f", clock.now()) }
