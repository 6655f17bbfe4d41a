"""A server that runs the Lua scripts by a clock that the test moves, and dumps its data.

On fakeredis, TIME and expiries follow ``time.time``, which the test replaces. The clock of a real
server cannot be moved, so its scripts come from a copy of ``lua/`` whose clock reads a key.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis
from fakeredis import FakeRedis, FakeServer
from redis.exceptions import NoScriptError

from ciris_registry.store.keys import TypeKeys
from ciris_registry.store.records.decoding import paired
from ciris_registry.store.scripts import load_scripts, read_scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ciris_registry.store.scripts import Script

LUA: Final = Path(__file__).parents[2] / "lua"
KEYS: Final = TypeKeys("fleet", "llm")

START: Final = 1_700_000_000_000
"""The time when every test begins, in milliseconds."""

CLOCK_KEY: Final = "test:clock"
_MOVED_CLOCK: Final = f"""\
local clock = {{}}

function clock.now()
  return tonumber(redis.call("GET", "{CLOCK_KEY}"))
end

return clock
"""

LATEST: Final = 4
"""How many events a dump has, newest first; no call of a breaker writes as many."""

Dump = dict[str, tuple[Any, int]]
"""Content and expiry of every key; the expiry is a time, -1 for never."""


class Clock:
    """The time, in milliseconds; ``seconds`` stands in for ``time.time``."""

    def __init__(self) -> None:
        self.now = START

    def seconds(self) -> float:
        # The half millisecond keeps code that rounds down from getting the millisecond before.
        return (self.now + 0.5) / 1000


def copied(folder: Path, replacements: Iterable[tuple[str, str, str]] = ()) -> Path:
    """A copy of ``lua/`` with texts replaced, each of which must occur once."""
    copy = Path(shutil.copytree(LUA, folder / "lua"))
    for name, old, new in replacements:
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has {text.count(old)} times: {old}"
        (copy / name).write_text(text.replace(old, new), encoding="utf-8")
    return copy


class LuaServer:
    """One database and the scripts that run there."""

    def __init__(self, clock: Clock, scripts: Mapping[str, Script] | None = None) -> None:
        self.clock = clock
        self.scripts = scripts or load_scripts()
        self.client: redis.Redis = FakeRedis(server=FakeServer(), decode_responses=True)
        self._kinds: dict[str, str] = {}

    @property
    def name(self) -> str:
        return "fakeredis"

    @property
    def exact(self) -> bool:
        """Whether expiries follow the test's clock."""
        return True

    def begin(self) -> None:
        """Start with an empty database that knows no script."""
        self.client = FakeRedis(server=FakeServer(), decode_responses=True)
        self._kinds = {}

    def set_clock(self) -> None:
        """Set the server's clock to the test's."""

    def run(
        self,
        name: str,
        keys: Mapping[str, str | Sequence[str]],
        args: Mapping[str, str | int | Sequence[str | int]],
    ) -> list[Any]:
        """Call a script."""
        script = self.scripts[name]
        numkeys, values = script.arrange(keys, args)
        self.set_clock()
        run: Any = self.client.execute_command
        try:
            return list(run("EVALSHA", script.sha, numkeys, *values))
        except NoScriptError:
            return list(run("EVAL", script.text, numkeys, *values))

    def call(
        self,
        name: str,
        subject: str = "",
        /,
        *,
        of: TypeKeys = KEYS,
        tail: Sequence[str] = (),
        writes: bool = True,
        **args: str | int | Sequence[str | int],
    ) -> list[Any]:
        """Call a script; fail if it writes to other keys, or at all without ``writes``.

        ``tail`` are the keys of a variadic parameter; the others are those ``of`` the service type.
        """
        script = self.scripts[name]
        parameters = script.keys[:-1] if script.keys_variadic else script.keys
        keys = of.for_parameters(parameters, subject)
        if script.keys_variadic:
            keys[script.keys[-1]] = tail
        return self.checked(name, keys, args, writes=writes)

    def checked(
        self,
        name: str,
        keys: Mapping[str, str | Sequence[str]],
        args: Mapping[str, str | int | Sequence[str | int]],
        *,
        writes: bool = True,
    ) -> list[Any]:
        """As ``call``, with keys by parameter name."""
        before = self.dump()
        reply = self.run(name, keys, args)
        after = self.dump()
        given = {one for key in keys.values() for one in ([key] if isinstance(key, str) else key)}
        changed = {key for key in before.keys() | after.keys() if self._differ(before, after, key)}
        assert changed <= given, f"{name} wrote to {changed - given}, which it was not given"
        assert writes or not changed, f"{name} wrote to {changed}"
        return reply

    def dump(self) -> Dump:
        """All data of the server."""
        while True:
            pipe = self.client.pipeline(transaction=False)
            pipe.keys()
            for key, kind in self._kinds.items():
                pipe.pttl(key)
                _READ[kind](pipe, key)
            found, *facts = pipe.execute(raise_on_error=False)
            kinds = {str(key): self._kinds.get(str(key), "") for key in found if key != CLOCK_KEY}
            if kinds == self._kinds and not any(isinstance(one, Exception) for one in facts):
                break
            self._kinds = {key: str(self.client.type(key)) for key in sorted(kinds)}
        return {
            key: (_plain(content), ttl if ttl < 0 else self.clock.now + ttl)
            for key, ttl, content in zip(self._kinds, facts[::2], facts[1::2], strict=True)
        }

    def events(self) -> list[dict[str, str]]:
        """The events of the service type, oldest first, without the fields for followers."""
        for_followers = {"epoch", "revision", "breaker", "order", "record", "settings"}
        return [
            {name: text for name, text in fields.items() if name not in for_followers}
            for fields in self.entries()
        ]

    def entries(self) -> list[dict[str, str]]:
        """The events of the service type in full, oldest first."""
        return [fields for _, fields in self.client.xrange(KEYS.events)]  # type: ignore[misc,union-attr] # redis-py types both of its clients at once

    def comings_and_goings(self) -> list[tuple[str, str]]:
        """The kind and the process of each entry of the stream of processes, oldest first."""
        entries: Any = self.client.xrange(KEYS.processes)
        return [(fields["kind"], fields["process"]) for _, fields in entries]

    def kinds(self) -> list[str]:
        """The kinds of all events, oldest first."""
        return [event["kind"] for event in self.events()]

    def expiries(self) -> dict[str, int]:
        """The time when each key expires, -1 for never."""
        return {key: expiry for key, (_, expiry) in self.dump().items()}

    def same(self, before: Dump, after: Dump) -> bool:
        """Whether nothing was written between two dumps."""
        return not any(self._differ(before, after, key) for key in before.keys() | after.keys())

    def _differ(self, before: Dump, after: Dump, key: str) -> bool:
        gone = (None, -2)
        (content, ttl), (then, left) = before.get(key, gone), after.get(key, gone)
        # The expiries of a real server follow its own clock.
        return content != then or (ttl != left if self.exact else (ttl < 0) != (left < 0))


class RealServer(LuaServer):
    """A real server; ``folder`` gets the changed copy of the scripts."""

    def __init__(
        self,
        clock: Clock,
        url: str,
        folder: Path,
        replacements: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        copy = copied(folder, replacements)
        (copy / "lib" / "clock.lua").write_text(_MOVED_CLOCK, encoding="utf-8")
        super().__init__(clock, read_scripts(copy))
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self._clock_set_to = 0

    @property
    def name(self) -> str:
        return "a real server"

    @property
    def exact(self) -> bool:
        return False

    def begin(self) -> None:
        self.client.flushdb()
        self._kinds, self._clock_set_to = {}, 0

    def set_clock(self) -> None:
        if self._clock_set_to != self.clock.now:
            self.client.set(CLOCK_KEY, self.clock.now)
            self._clock_set_to = self.clock.now


_READ: Final[dict[str, Callable[[Any, str], object]]] = {
    "hash": lambda pipe, key: pipe.hgetall(key),
    "zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
    "stream": lambda pipe, key: pipe.xrevrange(key, count=LATEST),
    "set": lambda pipe, key: pipe.smembers(key),
    "string": lambda pipe, key: pipe.get(key),
}


def _plain(content: Any) -> Any:  # what redis-py makes of a key
    """Sorted sets become dicts."""
    if isinstance(content, list) and content and isinstance(content[0][1], float):
        return {member: int(score) for member, score in content}
    return content


def fields(reply: Sequence[Any]) -> dict[str, str]:
    """A flat ``field, value, …`` list as a dict."""
    return dict(paired(reply))
