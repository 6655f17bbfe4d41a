-- process_leave: ends a process's presence, which frees its permits and slots at once.
--
-- KEYS[1]  members  registration|process -> lease deadline
-- ARGV[1]  process  the leaving process, which has already ended its memberships
-- Returns  {"left", n}  n: 1, or 0 if the process was not present
return { "left", redis.call("ZREM", KEYS[1], "|" .. ARGV[1]) }
