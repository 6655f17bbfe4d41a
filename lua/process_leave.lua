-- process_leave: a process is present no longer; its permits and slots are free at once.
--
-- KEYS[1]  members  registration|process -> lease deadline
-- ARGV[1]  process  the leaving process, which has ended its memberships before
-- Returns  {"left", n}  0: it was not present
return { "left", redis.call("ZREM", KEYS[1], "|" .. ARGV[1]) }
