"""Ways to break the breaker that its model test must notice: a name, and what to replace where.

Each text is replaced in a copy of ``lua/`` and must stand there exactly once.
"""

from __future__ import annotations

from typing import Final

Replacements = tuple[tuple[str, str, str], ...]

_ACQUIRE = "breaker_acquire.lua"
_CONFIGURE = "breaker_configure.lua"
_COOL_DOWN = "breaker_cool_down.lua"
_OVERRIDE = "breaker_override.lua"
_RECORD = "breaker_record.lua"
_RESET = "breaker_reset.lua"
_RESTORE = "breaker_restore.lua"
_TALLY = "breaker_record_successes.lua"
_PERMITS = "lib/leases.lua"
_CALLERS = "lib/callers.lua"
_RULES = "lib/rules.lua"
_STREAK = "lib/streak.lua"

BROKEN: Final[dict[str, Replacements]] = {
    # Asking
    "a permit has no deadline": ((_PERMITS, "return math.min(deadline, lease)", "return lease"),),
    "a permit outlives its holder": (
        (_PERMITS, "return math.min(deadline, lease)", "return deadline"),
    ),
    "one permit more than the limit": (
        (_ACQUIRE, "if count >= b.half_open_max_calls", "if count > b.half_open_max_calls"),
    ),
    "the same permit is asked for twice and counts twice": (
        (_ACQUIRE, "if deadline then", "if false then"),
    ),
    "one who asks for a permit is not known to live": (
        (_ACQUIRE, "if lease < now + tonumber(ARGV[4]) then", "if lease < 0 then"),
    ),
    "a refused asker extends what stands": (
        (
            _ACQUIRE,
            'return refused("half_open", soonest)',
            'redis.call("PEXPIRE", KEYS[2], 60000)\n  return refused("half_open", soonest)',
        ),
    ),
    "a refused asker moves the timer": (
        (
            _ACQUIRE,
            'return refused("open", b.retry_at)',
            'redis.call("HINCRBY", KEYS[1], "retry_at", 1)\n  return refused("open", b.retry_at)',
        ),
    ),
    "the recovery time ends a millisecond late": (
        (_ACQUIRE, "now < b.retry_at", "now <= b.retry_at"),
    ),
    "admitted while it cools down": ((_ACQUIRE, "b.cooldown_until > now", "false"),),
    "admitted while it is forced open": ((_ACQUIRE, 'override == "open"', "false"),),
    "nobody is told of HALF_OPEN": (
        (_ACQUIRE, "changes.change(KEYS[4], KEYS[5], now", "changes.keep(KEYS[4], 1, now"),
    ),
    # Recording
    "the threshold is off by one": (
        (
            _RULES,
            "b.consecutive_failures >= b.failure_threshold",
            "b.consecutive_failures > b.failure_threshold",
        ),
    ),
    "the rate needs no minimum of calls": ((_RULES, "and calls >= b.minimum_calls and", "and"),),
    "the rate must be exceeded": ((_RULES, "failures / calls >= rate", "failures / calls > rate"),),
    "the window never ends": ((_RULES, "at > current - BUCKETS and", ""),),
    "the window is a part too short": (
        (_RULES, "at > current - BUCKETS and", "at > current - BUCKETS + 1 and"),
    ),
    "a success does not end the streak": (
        (
            _STREAK,
            "b.consecutive_failures, b.streak_started_at = 0, 0",
            "b.streak_started_at = b.streak_started_at",
        ),
    ),
    "old successes end a streak": ((_STREAK, "at >= b.last_failure_at", "at >= 0"),),
    "a success that ended with the latest failure leaves it": (
        (_STREAK, "at >= b.last_failure_at", "at > b.last_failure_at"),
    ),
    "a success in the midst of a streak leaves all of it": (
        (_STREAK, "elseif at > b.streak_started_at then", "elseif false then"),
    ),
    "a success from before a streak cuts it": (
        (_STREAK, "elseif at > b.streak_started_at then", "else"),
    ),
    "a streak that was cut begins where it did": (
        (_STREAK, "= 1, b.last_failure_at", "= 1, b.streak_started_at"),
    ),
    "a success begins a streak": (
        (_STREAK, "if b.consecutive_failures == 0 then\n    return", "if false then\n    return"),
    ),
    "each failure begins the streak": (
        (
            _STREAK,
            "if b.consecutive_failures == 0 then\n    b.streak_started_at = now",
            "if true then\n    b.streak_started_at = now",
        ),
    ),
    "a close keeps the beginning of the streak": ((_RULES, "  b.streak_started_at = 0\n", ""),),
    "successes before an outcome are not counted": (
        (_RECORD, 'local gathered = successes > 0 and counts_in("closed")', "local gathered"),
    ),
    "no successes before an outcome end the streak": (
        (
            _RECORD,
            'gathered = successes > 0 and counts_in("closed")',
            'gathered = counts_in("closed")',
        ),
    ),
    "successes before an outcome are new": ((_RECORD, "now - age", "now"),),
    "successes before an outcome count once": (
        (_RECORD, "called(successes, now - age, false)", "called(1, now - age, false)"),
    ),
    "only what counts is written with a returned permit": (
        (_RECORD, "if successes > 0 or total then", "if total then"),
    ),
    "gathered successes are new": ((_TALLY, "now - age", "now"),),
    "gathered successes count once": (
        (
            _TALLY,
            "rules.called(b, now, successes, 0, enough)",
            "rules.called(b, now, 1, 0, enough)",
        ),
    ),
    "gathered successes are of any generation": (
        (_TALLY, "tonumber(generation) == b.generation", "true"),
    ),
    "gathered successes count under an operator's word": (
        (_TALLY, 'breaker.override(b, now) == ""', "true"),
    ),
    "gathered successes count while it is open": ((_TALLY, ' and b.state == "closed"', ""),),
    "gathered successes are not in the totals": (
        (_TALLY, "b.total_successes + successes", "b.total_successes"),
    ),
    "nobody is told that gathered successes opened it": (
        (_TALLY, "  if kind then\n", "  if false then\n"),
    ),
    "the timer is moved by a late failure": (
        (
            _RECORD,
            "if kind then\n",
            (
                'if outcome == "failure" and not counted and not probe and b.state == "open" then '
                "b.retry_at = now + b.recovery_timeout_ms end\nif kind then\n"
            ),
        ),
    ),
    "the success threshold is off by one": (
        (
            _RULES,
            "b.probe_successes >= b.success_threshold",
            "b.probe_successes > b.success_threshold",
        ),
    ),
    "the generation is not checked": (
        (
            _RECORD,
            'local known = ARGV[5] == "" or tonumber(ARGV[5]) == b.generation',
            "local known = true",
        ),
    ),
    "totals are not counted": ((_RECORD, "b[total] = b[total] + 1", "b[total] = b[total]"),),
    "a permit can be settled twice": (
        (_RECORD, 'redis.call("ZREM", KEYS[2], permit)', 'redis.call("ZSCORE", KEYS[2], permit)'),
    ),
    "a permit that has ended is settled": (
        (_PERMITS, "tonumber(deadline), {}) > now then", "tonumber(deadline), {}) > 0 then"),
    ),
    "a cancelled call is a failure": (
        (
            _RECORD,
            "local total = TOTALS[outcome]\n",
            'local total = TOTALS[outcome] or "total_failures"\n',
        ),
        (_RECORD, 'outcome == "failure"\n', 'outcome ~= "success"\n'),
    ),
    "an outcome without a permit is a trial's": (
        (_RECORD, 'elseif permit == "untracked" and current', "elseif current"),
    ),
    "trials without a permit are not limited": (
        (_RECORD, "leases.out(KEYS[2], KEYS[3], now) < b.half_open_max_calls", "true"),
    ),
    "a trial is made before the recovery time is over": (
        (_RECORD, '(b.state == "open" and now >= b.retry_at)', 'b.state == "open"'),
    ),
    "outcomes count under an operator's word": (
        (_RECORD, 'known and breaker.override(b, now) == ""', "known"),
    ),
    "permits of an older generation stay": ((_RECORD, '  redis.call("DEL", KEYS[2])\n', ""),),
    "no longer recovery after a second opening": ((_RULES, "^ b.consecutive_openings", "^ 0"),),
    "the recovery time has no limit": (
        (
            _RULES,
            "^ b.consecutive_openings, longest)",
            "^ b.consecutive_openings, math.huge)",
        ),
    ),
    "two events for one opening": (
        (_RECORD, "  tell(kind, reason)\n", "  tell(kind, reason)\n  tell(kind, reason)\n"),
    ),
    "another one is told that it opened": (
        (
            _RECORD,
            "return breaker.reply(WORDS[kind] or",
            'return breaker.reply(b.state == "open" and "opened" or WORDS[kind] or',
        ),
    ),
    "followers are told of every failure": ((_STREAK, "math.ceil(b.failure_threshold / 2)", "1"),),
    "followers are told of a streak all the time": (
        (_STREAK, "math.abs(now - b.warned_at) < HINTS_APART_MS", "false"),
    ),
    "followers are told of a streak once": (
        (
            _STREAK,
            "if short or math.abs(now - b.warned_at) < HINTS_APART_MS",
            "if short or b.warned_at > 0",
        ),
    ),
    "followers are told of a streak that opened the breaker": (
        (_RECORD, "local hint = fails and not kind and", "local hint = fails and"),
    ),
    "a streak that followers are told of changes the version": (
        (_RECORD, "  if hint then\n", "  if hint then\n    changes.bump(KEYS[5], now)\n"),
    ),
    # Who reports
    "one process is enough to open it for all": (
        (
            _CALLERS,
            "least, since = b.min_failing_processes, b.streak_started_at",
            "least, since = 1, b.streak_started_at",
        ),
    ),
    "one process too many must have failed": (
        (
            _CALLERS,
            "return least <= 1 or count(key, FAILED, since, failed) >= least",
            "return least <= 1 or count(key, FAILED, since, failed) > least",
        ),
    ),
    "who fails for the first time is not counted": (
        (_CALLERS, "local failed = failing and process or nil", "local failed = nil"),
    ),
    "who succeeds is one of those who fail": (
        (_CALLERS, "local failed = failing and process or nil", "local failed = process"),
    ),
    "one process counts for each kind of its calls": (
        (_CALLERS, "if other and string.sub(member, 1, #prefix) == prefix then", "if other then"),
    ),
    "whoever has ever failed is in the streak": (
        (
            _CALLERS,
            "b.min_failing_processes, b.streak_started_at\n",
            "b.min_failing_processes, 0\n",
        ),
    ),
    "failures of one process among others open it by the rate": (
        (_CALLERS, "> 1 and 2 or 1", "> 1 and 1 or 1"),
    ),
    "one process alone is never sick": ((_CALLERS, "> 1 and 2 or 1", "> 0 and 2 or 1"),),
    "whoever has ever failed is in the window": (
        (_CALLERS, "since = first * b.window_ms / BUCKETS", "since = 0"),
    ),
    "the window of callers is a part too short": (
        (
            _CALLERS,
            "(b.window_ms / BUCKETS)) - BUCKETS + 1",
            "(b.window_ms / BUCKETS)) - BUCKETS + 2",
        ),
    ),
    "a process that fails has not called": (
        (
            _CALLERS,
            'write(key, b.retention_ms, at, "called|" .. process, at, FAILED .. process)',
            "write(key, b.retention_ms, at, FAILED .. process)",
        ),
    ),
    "a failure is only a call": ((_RECORD, "process, counted and failed)", "process, false)"),),
    "a late failure is one of the streak": (
        (_RECORD, "elseif gathered or counted then", "elseif total then"),
        (_RECORD, "process, counted and failed)", "process, failed)"),
    ),
    "gathered successes tell nobody who calls": (
        (_TALLY, "    callers.note(seen, b, now, process, false)\n", ""),
    ),
    "successes before an outcome tell nobody who calls": (
        (_RECORD, "elseif gathered or counted then", "elseif counted then"),
    ),
    "callers are kept for ever": (
        (_CALLERS, '"-inf", string.format("(%.0f", since)', '"-inf", string.format("(%.0f", 0)'),
    ),
    "callers of a running streak go with the window": (
        (_CALLERS, "if b.consecutive_failures > 0 then\n    since", "if false then\n    since"),
    ),
    "a close keeps the callers": ((_RECORD, "  callers.forget(KEYS[6], b)\n", ""),),
    "a reset keeps the callers": ((_RESET, "callers.forget(KEYS[5], b)\n", ""),),
    "new settings keep the callers of the old window": (
        (_CONFIGURE, "  callers.forget(KEYS[5], b)\n  changes", "  changes"),
    ),
    "new settings forget the callers of the streak": (
        (_CALLERS, "local needed = failed and", "local needed = false and failed and"),
    ),
    # Operators
    "an override is no generation": ((_OVERRIDE, "b.generation = b.generation + 1\n", ""),),
    "an override has no end": ((_OVERRIDE, "duration > 0 and now + duration or 0", "0 or 0"),),
    "an override leaves permits": ((_OVERRIDE, 'redis.call("DEL", KEYS[2])\n', ""),),
    "a reset keeps the streak": (
        (
            _RESET,
            "rules.close(b, now)\n",
            "local n = b.consecutive_failures\nrules.close(b, now)\nb.consecutive_failures = n\n",
        ),
    ),
    "a reset keeps the window": (
        (_RULES, "  b.retry_at = 0\n  rules.forget(b)\n", "  b.retry_at = 0\n"),
    ),
    "a reset keeps the cooldown": ((_RESET, "b.cooldown_until = 0\n", ""),),
    "of two cooldowns the earlier one counts": (
        (_COOL_DOWN, "deadline <= b.cooldown_until", "deadline >= b.cooldown_until"),
        (_COOL_DOWN, "or deadline <= now", "and b.cooldown_until > now"),
    ),
    "the last cooldown counts": ((_COOL_DOWN, "deadline <= b.cooldown_until or ", ""),),
    # Settings, and what was lost
    "default settings overwrite": ((_CONFIGURE, 'if ARGV[3] == "explicit" then', "if true then"),),
    "new settings are no generation": ((_CONFIGURE, "  b.generation = b.generation + 1\n", ""),),
    "new settings leave permits": ((_CONFIGURE, '  redis.call("DEL", KEYS[2])\n', ""),),
    "what is remembered of a server that was ahead stays so": (
        (_RESTORE, "math.max(0, tonumber(ARGV[3]) - now)", "0"),
    ),
    "a cooldown of a server that was ahead is as long as it was there": (
        (_RESTORE, '  "cooldown_until",\n', ""),
    ),
    "what is remembered of a server that was behind is later than it was": (
        (_RESTORE, "math.max(0, tonumber(ARGV[3]) - now)", "tonumber(ARGV[3]) - now"),
    ),
    "what is remembered replaces newer data": (
        (_RESTORE, "local newer = remembered.changed_at > b.changed_at", "local newer = true"),
    ),
}
