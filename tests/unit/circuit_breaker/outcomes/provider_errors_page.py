"""The reference page of providers' errors, made from the table.

``python -m tests.unit.circuit_breaker.outcomes.provider_errors_page`` writes it.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.unit.circuit_breaker.outcomes.provider_errors import ROWS, SOURCES

if TYPE_CHECKING:
    from tests.unit.circuit_breaker.outcomes.provider_errors import Row

PAGE: Final = Path(__file__).parents[4] / "docs/reference/provider-errors.md"

_LONGEST: Final = 90
_HEAD: Final = """\
# Errors of providers

What the errors of providers mean by default, with the default settings; the kinds are in
[Outcomes](outcomes.md). Each row is a case of [a test]({tests}/test_provider_errors.py),
and this page is made from the same [table]({tests}/provider_errors.yaml). The messages are
shortened; a message decides only where its code does not.
"""
_TESTS: Final = "../../tests/unit/circuit_breaker/outcomes"


def page() -> str:
    """The text of the page."""
    parts = [_HEAD.format(tests=_TESTS)]
    for provider, rows in groupby(ROWS, key=lambda row: row.provider):
        parts.append(
            f"\n## {provider}\n\n"
            "| status | code | message | counts as | fault code | concerns | source |\n"
            "| --- | --- | --- | --- | --- | --- | --- |\n"
        )
        parts += map(_line, rows)
    return "".join(parts)


def _line(row: Row) -> str:
    kind = f"{row.kind}, {row.seconds:g} s" if row.kind == "cooldown" else row.kind
    concerns = row.scope if row.kind in {"cooldown", "refused"} else ""
    cells = (
        row.grpc or (str(row.status) if row.status else ""),
        f"`{row.aws or _codes(row)}`" if row.aws or _codes(row) else "",
        _text(row.message),
        kind,
        f"`{row.code}`" if row.code else "",
        concerns,
        f"[{row.source}]({SOURCES[row.source]})",
    )
    return f"| {' | '.join(cells)} |\n".replace("|  |", "| |").replace("|  |", "| |")


def _codes(row: Row) -> str:
    body = row.body[0] if isinstance(row.body, list) else row.body
    if not isinstance(body, dict):
        return ""
    inner = body.get("error", body)
    if not isinstance(inner, dict):
        return ""
    reasons = [one.get("reason") for name in ("details", "errors") for one in inner.get(name, ())]
    found = [*reasons, inner.get("code"), inner.get("status"), inner.get("type")]
    return next((one for one in found if isinstance(one, str) and not one.isdigit()), "")


def _text(message: str) -> str:
    text = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"
    for character in "|<>*_[]`":
        text = text.replace(character, f"\\{character}")
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
