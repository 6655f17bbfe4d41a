"""Faults in the breaker scripts that the model test must notice.

Each has a name and texts to replace in a copy of ``lua/``; each text occurs there exactly once.
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
_SUCCESSES = "breaker_record_successes.lua"
_CONDITIONS = "lib/trip_conditions.lua"
_LEASES = "lib/leases.lua"
_OVERRIDES = "lib/override.lua"
_CALLERS = "lib/callers.lua"
_RULES = "lib/state_machine.lua"
_STREAK = "lib/streak.lua"
_WINDOW = "lib/window.lua"
_REMEMBERED = "lib/remembered.lua"

BROKEN: Final[dict[str, Replacements]] = {
    # Admission
    "a permit has no deadline": ((_LEASES, "return math.min(deadline, lease)", "return lease"),),
    "a permit outlives its process's lease": (
        (_LEASES, "return math.min(deadline, lease)", "return deadline"),
    ),
    "one permit more than the limit": (
        (_ACQUIRE, "if count >= b.half_open_max_calls", "if count > b.half_open_max_calls"),
    ),
    "a permit that is acquired twice counts twice": (
        (_ACQUIRE, "if deadline then", "if false then"),
    ),
    "a permit does not mark its process as present": (
        (_ACQUIRE, "processes.renew(KEYS[3], ARGV[2], now + tonumber(ARGV[4]))\n", ""),
    ),
    "a refused call extends the permits": (
        (
            _ACQUIRE,
            'return refused("half_open", soonest)',
            'redis.call("PEXPIRE", KEYS[2], 60000)\n  return refused("half_open", soonest)',
        ),
    ),
    "a refused call moves the recovery timer": (
        (
            _ACQUIRE,
            'return refused("open", b.retry_at)',
            'redis.call("HINCRBY", KEYS[1], "retry_at", 1)\n  return refused("open", b.retry_at)',
        ),
    ),
    "the recovery timeout ends a millisecond late": (
        (_ACQUIRE, "now < b.retry_at", "now <= b.retry_at"),
    ),
    "a call is admitted during a cooldown": ((_ACQUIRE, "b.cooldown_until > now", "false"),),
    "a call is admitted while the breaker is forced open": (
        (_ACQUIRE, 'forced == "open"', "false"),
    ),
    "no event announces HALF_OPEN": (
        (_ACQUIRE, "changes.publish(KEYS[4], KEYS[5], now", "changes.keep(KEYS[4], 1, now"),
    ),
    # Outcomes
    "the threshold is off by one": (
        (
            _CONDITIONS,
            "b.consecutive_failures >= b.failure_threshold",
            "b.consecutive_failures > b.failure_threshold",
        ),
    ),
    "the rate needs no minimum of calls": ((_CONDITIONS, "and calls >= b.minimum_calls\n", "\n"),),
    "the rate must be exceeded": (
        (_CONDITIONS, "failures / calls >= rate", "failures / calls > rate"),
    ),
    "the window never ends": ((_WINDOW, " and at > current - BUCKETS then", " then"),),
    "the window is a bucket too short": (
        (_WINDOW, "at > current - BUCKETS then", "at > current - BUCKETS + 1 then"),
    ),
    "earlier buckets of the window are forgotten": (
        (
            _WINDOW,
            "return calls + earlier_calls, failures + earlier_failures",
            "return calls, failures",
        ),
    ),
    "a new bucket of the window loses the one before it": (
        (
            _WINDOW,
            'local stored = b.window .. " " .. b.window_past',
            "local stored = b.window_past",
        ),
    ),
    "a success does not end the streak": (
        (
            _STREAK,
            "b.consecutive_failures, b.streak_started_at = 0, 0",
            "b.streak_started_at = b.streak_started_at",
        ),
    ),
    "a success from before a streak ends it": ((_STREAK, "at >= b.last_failure_at", "at >= 0"),),
    "a success at the time of the latest failure leaves that failure": (
        (_STREAK, "at >= b.last_failure_at", "at > b.last_failure_at"),
    ),
    "a success within a streak changes nothing": (
        (_STREAK, "elseif at > b.streak_started_at then", "elseif false then"),
    ),
    "a success from before a streak shortens it": (
        (_STREAK, "elseif at > b.streak_started_at then", "else"),
    ),
    "a shortened streak keeps its beginning": (
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
    "closing keeps the beginning of the streak": ((_RULES, "  b.streak_started_at = 0\n", ""),),
    "batched successes before an outcome are not counted": (
        (
            _RECORD,
            "    and record_calls(successes, now - tonumber(ARGV[7]), false)",
            "    and nil",
        ),
    ),
    "batched successes before an outcome count in its generation": (
        (_RECORD, "b, now, ARGV[8])", "b, now, ARGV[5])"),
    ),
    "an empty batch before an outcome ends the streak": (
        (
            _RECORD,
            "if successes > 0 then\n",
            "if true then\n",
        ),
    ),
    "batched successes before an outcome are as recent as it": (
        (_RECORD, "now - tonumber(ARGV[7])", "now"),
    ),
    "batched successes before an outcome count as one": (
        (_RECORD, "record_calls(successes, ", "record_calls(1, "),
    ),
    "batched successes before a released permit are lost": (
        (_RECORD, "if successes > 0 or total then", "if total then"),
    ),
    "batched successes are as recent as their report": ((_SUCCESSES, "now - age", "now"),),
    "batched successes count as one": (
        (
            _SUCCESSES,
            "window.add(b, now, successes, false)",
            "window.add(b, now, 1, false)",
        ),
    ),
    "batched successes count in any generation": (
        (_SUCCESSES, "lets_call_count(b, now, generation)", 'lets_call_count(b, now, "")'),
    ),
    "batched successes count during an override": (
        (_OVERRIDES, 'current and override.in_force(b, now) == ""', "current"),
    ),
    "batched successes count while the breaker is open": (
        (_OVERRIDES, 'b.state == "closed" and ', ""),
    ),
    "batched successes are not in the totals": (
        (_SUCCESSES, "b.total_successes + successes", "b.total_successes"),
    ),
    "no event announces an opening by batched successes": (
        (_SUCCESSES, "  changes.publish(KEYS[1]", "  changes.keep(KEYS[1], 1"),
    ),
    "a late failure moves the recovery timer": (
        (
            _RECORD,
            "if kind then\n",
            (
                'if failed and not counts and not probe and b.state == "open" then '
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
        (_OVERRIDES, 'generation == "" or tonumber(generation) == b.generation', "true"),
    ),
    "totals are not counted": ((_RECORD, "b[total] = b[total] + 1", "b[total] = b[total]"),),
    "a permit can be settled twice": (
        (_RECORD, 'redis.call("ZREM", KEYS[2], permit)', 'redis.call("ZSCORE", KEYS[2], permit)'),
    ),
    "a permit that has expired is settled": (
        (_LEASES, "tonumber(deadline), {}) > now then", "tonumber(deadline), {}) > 0 then"),
    ),
    "a cancelled call is a failure": (
        (
            _RECORD,
            'outcome == "failure", TOTALS[outcome]\n',
            'outcome ~= "success", TOTALS[outcome] or "total_failures"\n',
        ),
    ),
    "any outcome without a permit may be a probe's": (
        (_RECORD, 'local allowed = permit == "untracked" and b', "local allowed = b"),
    ),
    "probes without a permit are not limited": (
        (_RECORD, "leases.out(KEYS[2], KEYS[3], now) < b.half_open_max_calls", "true"),
    ),
    "an untracked probe counts before the recovery timeout has passed": (
        (_RECORD, '(b.state == "open" and now >= b.retry_at)', 'b.state == "open"'),
    ),
    "outcomes count during an override": (
        (_OVERRIDES, "return lasts and b.override or", "return false and b.override or"),
    ),
    "permits of an older generation stay": ((_RECORD, '  redis.call("DEL", KEYS[2])\n', ""),),
    "a second opening lasts no longer than the first": (
        (_RULES, "^ b.consecutive_openings", "^ 0"),
    ),
    "the recovery timeout has no maximum": (
        (
            _RULES,
            "^ b.consecutive_openings, longest)",
            "^ b.consecutive_openings, math.huge)",
        ),
    ),
    "two events for one opening": (
        (
            _RECORD,
            "  publish(kind, reason)\n",
            "  publish(kind, reason)\n  publish(kind, reason)\n",
        ),
    ),
    "a call that did not open the breaker is answered that it did": (
        (
            _RECORD,
            "return breaker.reply(code, b, now)",
            'return breaker.reply(b.state == "open" and "opened" or code, b, now)',
        ),
    ),
    "every failure is a streak warning": ((_STREAK, "math.ceil(b.failure_threshold / 2)", "1"),),
    "streak warnings have no interval": (
        (_STREAK, "math.abs(now - b.warned_at) < WARNING_INTERVAL_MS", "false"),
    ),
    "a streak is warned about only once": (
        (
            _STREAK,
            "if short or math.abs(now - b.warned_at) < WARNING_INTERVAL_MS",
            "if short or b.warned_at > 0",
        ),
    ),
    "an opening comes with a streak warning": (
        (_RECORD, "return opens, fails and not opens and", "return opens, fails and"),
        (_RECORD, "elseif warning then\n", "end\nif warning then\n"),
    ),
    "a streak warning changes the version": (
        (_RECORD, "elseif warning then\n", "elseif warning then\n  changes.bump(KEYS[5], now)\n"),
    ),
    # Callers
    "one failing process is enough for any streak": (
        (
            _CALLERS,
            "least, since = b.min_failing_processes, b.streak_started_at",
            "least, since = 1, b.streak_started_at",
        ),
    ),
    "one process too many must have failed": (
        (
            _CALLERS,
            'redis.call("ZCOUNT", key, "-inf", latest) >= least',
            'redis.call("ZCOUNT", key, "-inf", latest) > least',
        ),
    ),
    "a process that succeeds counts as failing": (
        (_CALLERS, "  if failed then\n", "  if true then\n"),
    ),
    "a process counts once for each kind of its calls": (
        (_CALLERS, 'redis.call("ZCOUNT", key, "-inf", latest)', 'redis.call("ZCARD", key)'),
    ),
    "a failure is recorded once in a bucket": (
        (_CALLERS, "  if failed then\n", "  if failed and not recorded then\n"),
    ),
    "a call is recorded once in a window": (
        (_CALLERS, "at >= beginning(b, now, 0)", "at >= beginning(b, now, BUCKETS - 1)"),
    ),
    "a process that failed before the streak counts in it": (
        (
            _CALLERS,
            "b.min_failing_processes, b.streak_started_at\n",
            "b.min_failing_processes, 0\n",
        ),
    ),
    "failures of one process of several open the breaker by the rate": (
        (_CALLERS, "> 1 and 2 or 1", "> 1 and 1 or 1"),
    ),
    "failures of a single process never open the breaker by the rate": (
        (_CALLERS, "> 1 and 2 or 1", "> 0 and 2 or 1"),
    ),
    "a process that failed before the window counts in it": (
        (_CALLERS, "since = beginning(b, now, BUCKETS - 1)", "since = 0"),
    ),
    "the window of callers is a bucket too short": (
        (
            _CALLERS,
            "since = beginning(b, now, BUCKETS - 1)",
            "since = beginning(b, now, BUCKETS - 2)",
        ),
    ),
    "a process that fails is not recorded as calling": (
        (
            _CALLERS,
            'write(key, b.retention_ms, at, called, "-" .. at, "failed|" .. process)',
            'write(key, b.retention_ms, "-" .. at, "failed|" .. process)',
        ),
    ),
    "a failure is recorded as a call only": (
        (
            _RECORD,
            "callers.record(KEYS[6], b, now, process, fails)",
            "callers.record(KEYS[6], b, now, process, false)",
        ),
    ),
    "a late failure counts in the streak": (
        (
            _RECORD,
            "local probe, kind = is_probe(), nil\n",
            (
                "local probe, kind = is_probe(), nil\n"
                'if failed and not counts and b.state == "closed" then '
                "callers.record(KEYS[6], b, now, process, true) end\n"
            ),
        ),
    ),
    "batched successes do not record their process as calling": (
        (_SUCCESSES, "  callers.record(callers_key, b, now, process, false)\n", ""),
    ),
    "batched successes before an outcome do not record their process as calling": (
        (
            _RECORD,
            "  callers.record(KEYS[6], b, now, process, fails)\n",
            "  if at == now then callers.record(KEYS[6], b, now, process, fails) end\n",
        ),
    ),
    "callers are never removed": (
        (_CALLERS, 'remove(key, string.format("(%.0f", since)', 'remove(key, "(0"'),
    ),
    "callers of a current streak go with the window": (
        (_CALLERS, "if b.consecutive_failures > 0 then\n    since", "if false then\n    since"),
    ),
    "closing keeps the callers": ((_RECORD, "  callers.clear_window(KEYS[6], b)\n", ""),),
    "a reset keeps the callers": ((_RESET, "callers.clear_window(KEYS[5], b)\n", ""),),
    "new settings keep the callers of the old window": (
        (_CONFIGURE, "  callers.clear_window(KEYS[5], b)\nend", "end"),
    ),
    "new settings remove the callers of the streak": (
        (_CALLERS, 'remove(key, "+inf", streak or "-inf")', 'remove(key, "+inf", "-inf")'),
    ),
    # Overrides, resets and cooldowns
    "an override keeps the generation": ((_OVERRIDE, "b.generation = b.generation + 1\n", ""),),
    "an override has no end": ((_OVERRIDE, "duration > 0 and now + duration or 0", "0 or 0"),),
    "an override keeps the permits": ((_OVERRIDE, 'redis.call("DEL", KEYS[2])\n', ""),),
    "a reset keeps the streak": (
        (
            _RESET,
            "state_machine.close(b, now)\n",
            (
                "local n = b.consecutive_failures\nstate_machine.close(b, now)\n"
                "b.consecutive_failures = n\n"
            ),
        ),
    ),
    "a reset keeps the window": ((_RULES, '  b.window, b.window_past = "", ""\n', ""),),
    "a reset keeps the cooldown": ((_RESET, "b.cooldown_until = 0\n", ""),),
    "of two cooldowns the earlier deadline stays": (
        (_COOL_DOWN, "deadline <= b.cooldown_until", "deadline >= b.cooldown_until"),
        (_COOL_DOWN, "or deadline <= now", "and b.cooldown_until > now"),
    ),
    "the last cooldown stays, whatever its deadline": (
        (_COOL_DOWN, "deadline <= b.cooldown_until or ", ""),
    ),
    # Settings and restored states
    "default settings overwrite": ((_CONFIGURE, 'if ARGV[3] == "explicit" then', "if true then"),),
    "new settings keep the generation": ((_CONFIGURE, "  b.generation = b.generation + 1\n", ""),),
    "new settings keep the permits": ((_CONFIGURE, '  redis.call("DEL", KEYS[2])\n', ""),),
    "restored times of a server whose clock was ahead stay ahead": (
        (_REMEMBERED, "local state, moved = {}, now - seen_at", "local state, moved = {}, 0"),
    ),
    "a restored cooldown of a server whose clock was ahead stays ahead": (
        (_REMEMBERED, '  "cooldown_until",\n', ""),
    ),
    "a restored state replaces a newer one": (
        (_REMEMBERED, "return state.changed_at > b.changed_at", "return true"),
    ),
    "a restored generation is one that Redis has counted already": (
        (_RESTORE, "math.max(b.generation, state.generation) + 1", "state.generation"),
    ),
    "a lost generation is counted twice": (
        (_RESTORE, "lost and state.generation or math", "math"),
    ),
    "a cooldown comes back after a reset": (
        (_RESTORE, "local lasts = not ended and state", "local lasts = state"),
    ),
    "a restored breaker begins another life": (
        (_RESTORE, '(field ~= "born" or value > 0)', 'field ~= "born"'),
    ),
}
