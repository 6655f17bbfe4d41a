from __future__ import annotations

from typing import Any

import pytest

from ciris_registry.store.script_runner import ScriptRunner
from ciris_registry.store.scripts import ScriptParameterError, load_scripts


class FakeTransport:
    """Records the scripts that are sent, with their keys and arguments."""

    def __init__(self) -> None:
        self.names = {one.sha: one.name for one in load_scripts().values()}
        self.sent: list[tuple[str, list[str | int]]] = []

    async def evaluate(
        self, sha: str, text: str, numkeys: int, values: list[str | int], *, repeatable: bool = True
    ) -> Any:
        self.sent.append((self.names[sha], values))


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def calls(transport: FakeTransport) -> ScriptRunner:
    return ScriptRunner(transport, "ns", 0, "p1", 1000, 2000)  # type: ignore[arg-type]


async def test_each_call_has_the_keys_of_its_service_type_and_subject(
    calls: ScriptRunner, transport: FakeTransport
) -> None:
    for kind, name in (("llm", "a"), ("llm", "b"), ("memory", "a")):
        await calls.run("slot_release", kind, name, held=[f"of {kind} {name}"])

    keys = [calls.keys(kind).slots(name) for kind, name in (("llm", "a"), ("llm", "b"))]
    assert transport.sent == [
        ("slot_release", [keys[0], "of llm a"]),
        ("slot_release", [keys[1], "of llm b"]),
        ("slot_release", [calls.keys("memory").slots("a"), "of memory a"]),
    ]


async def test_variadic_keys_are_used_for_their_call_only(
    calls: ScriptRunner, transport: FakeTransport
) -> None:
    await calls.run("slot_renew", "llm", more_keys=["k1", "k2"], lease_ms=1, held=[])
    await calls.run("slot_renew", "llm", more_keys=[], lease_ms=2, held=[])

    assert transport.sent == [("slot_renew", ["k1", "k2", 1]), ("slot_renew", [2])]


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        ("slot_release", {}, "missing held"),
        ("slot_release", {"held": [], "more": 1}, "unknown more"),
        ("slot_release", {"held": [], "more_keys": []}, "unknown more_keys"),
        ("slot_renew", {"lease_ms": 1, "held": []}, "missing slots"),
        ("slot_renew", {"lease_ms": 1, "held": [], "more_keys": "k"}, "takes a sequence"),
    ],
)
async def test_a_wrong_parameter_is_an_error_before_anything_is_sent(
    calls: ScriptRunner, transport: FakeTransport, script: str, options: Any, message: str
) -> None:
    with pytest.raises(ScriptParameterError, match=message):
        await calls.run(script, "llm", "a", **options)
    assert transport.sent == []


async def test_a_script_of_the_partition_has_the_keys_of_its_process(
    calls: ScriptRunner, transport: FakeTransport
) -> None:
    await calls.run_in_partition("lease_end", "p2", holder="p2", sweeper="p1")
    with pytest.raises(ScriptParameterError, match="missing sweeper"):
        await calls.run_in_partition("lease_end", "p2", holder="p2")

    keys = calls.partition
    of_process = [keys.leases, keys.lease("p2"), keys.process("p2"), keys.processes]
    assert transport.sent == [("lease_end", [*of_process, "p2", "p1"])]
