"""A breach of a front door is found, and what is allowed is not."""

from __future__ import annotations

import grimp

from tests.rooms.front_doors import breaches


def graph(*imports: tuple[str, str]) -> grimp.ImportGraph:
    made = grimp.ImportGraph()
    for module in ("p", "p.value", "p.a", "p.a.x", "p.a.inner", "p.a.inner.y", "p.b", "p.b.z"):
        made.add_module(module)
    for importer, imported in imports:
        made.add_import(importer=importer, imported=imported)
    return made


def test_an_import_past_a_front_door_is_a_breach() -> None:
    found = breaches(graph(("p.b.z", "p.a.x"), ("p.value", "p.a.inner.y")), "p")

    assert found == [("p.b.z", "p.a.x"), ("p.value", "p.a.inner.y")]


def test_a_room_does_not_reach_past_the_door_of_the_room_inside_it() -> None:
    assert breaches(graph(("p.a.x", "p.a.inner.y")), "p") == [("p.a.x", "p.a.inner.y")]


def test_front_doors_and_a_rooms_own_modules_are_open() -> None:
    allowed = (
        ("p.b.z", "p.a"),
        ("p.b.z", "p.a.inner"),
        ("p.b.z", "p.value"),
        ("p.a", "p.a.x"),
        ("p.a.inner", "p.a.inner.y"),
        ("p.a.inner.y", "p.a.x"),
    )

    assert breaches(graph(*allowed), "p") == []
