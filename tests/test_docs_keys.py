"""The table of keys: every key that a fleet writes is in it, with its type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

import redis

from ciris_registry import SelectionStrategy, ServiceRegistry
from tests.documentation import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    New = Callable[..., ServiceRegistry]

ROWS: Final = re.findall(
    r"^\| `(ciris:\S+)` \| (\w+) \|", text_of("docs/reference/redis-keys.md"), re.MULTILINE
)
PLACES: Final = {
    "{ns/p}:<type>": r"\{default/0\}:llm",
    "{ns/p}": r"\{default/0\}",
    "{ns/0}": r"\{default/0\}",
}


def row_of(key: str, kind: str) -> str:
    """The row that describes a key of this type; empty if none does."""
    for shown, shown_kind in ROWS:
        pattern = re.escape(shown)
        for place, there in PLACES.items():
            pattern = pattern.replace(re.escape(place), there)
        if kind == shown_kind and re.fullmatch(re.sub(r"<\w+>", r"[^:]+", pattern), key):
            return cast("str", shown)
    return ""


async def test_every_key_that_is_written_is_in_the_table(real_url: str) -> None:
    async with ServiceRegistry(url=real_url, consistency="exact") as registry:
        for name in ("one", "other"):
            registry.register(
                "planner",
                "llm",
                name,
                strategy=SelectionStrategy.ROUND_ROBIN,
                name=name,
                max_in_flight=1,
            )
        await registry.breaker("llm", "one").arecord_failure()
        async with registry.acquire("planner", "llm"):
            with redis.Redis.from_url(real_url, decode_responses=True) as client:
                written = {str(key): str(client.type(key)) for key in client.scan_iter()}
    rows = {key: row_of(key, kind) for key, kind in written.items()}
    assert [key for key, row in rows.items() if not row] == []
    # Permits need a breaker that is HALF_OPEN, local trips one that this process alone has opened,
    # and expiry a process that died.
    rare = {shown for shown, _ in ROWS if re.search(":(permits|local_trips|expiry)(:|$)", shown)}
    assert set(rows.values()) | rare == {shown for shown, _ in ROWS}
