"""What README and docs say in tables and figures is true."""

from __future__ import annotations

import re
from dataclasses import fields

from ciris_registry import CircuitBreakerConfig, RegistrySettings
from tests.documentation import ROOT, text_of

README = text_of("README.md")


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 160
    assert len(re.findall(r"!\[", README)) <= 2, "badges"


def test_the_readme_begins_with_a_program_and_what_it_prints() -> None:
    first_screen = "\n".join(README.splitlines()[:45])
    assert first_screen.index("```python") < first_screen.index("```text")


def test_the_readme_shows_what_the_demo_proves() -> None:
    claims = re.findall(r"^✓ (.*?)  ", README, re.MULTILINE)
    source = (ROOT / "ciris_registry/demo/guarantees.py").read_text(encoding="utf-8")
    patterns = re.findall(r"claim ?= ?f?\"(.*?)\"", source)
    assert len(claims) == len(patterns) == 12
    for pattern in patterns:
        begins, _, ends = re.sub(r"\{.*?\}", "\0", pattern).partition("\0")
        assert any(one.startswith(begins) and one.endswith(ends) for one in claims), pattern


def table(name: str) -> dict[str, str]:
    """Defaults by field, as the settings' page has them."""
    page = text_of("docs/reference/settings.md")
    [rows] = re.findall(rf"\| `{name}` \| default .*\n\|.*\n((?:\|.*\n)+)", page)
    return dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", rows, re.MULTILINE))


def test_the_table_of_registry_settings_is_true() -> None:
    known = {name: repr(one.default) for name, one in RegistrySettings.model_fields.items()}
    assert table("RegistrySettings") == known | {"breaker": "CircuitBreakerConfig()"}


def test_the_table_of_breaker_settings_is_true() -> None:
    known = {one.name: repr(one.default) for one in fields(CircuitBreakerConfig)}
    assert table("CircuitBreakerConfig") == known


def test_the_table_of_events_has_what_the_scripts_announce() -> None:
    page = text_of("docs/reference/events.md")
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    announced: set[str] = set()
    for script in (ROOT / "lua").glob("*.lua"):
        header = re.match(r"(?:--.*\n)+", script.read_text(encoding="utf-8"))
        assert header is not None
        events = re.search(r"^-- Events(.*(?:\n--  .*)*)", header[0], re.MULTILINE)
        if events:
            announced |= set(
                re.findall(r"\b(?:breaker|provider|process|state|expiry)_\w+", events[1])
            )
    assert listed == announced
