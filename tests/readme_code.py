"""The README's code, to be run by tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import ciris_registry

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block_after(text: str) -> str:
    """The first block of Python after this text."""
    found = re.search(r"```python\n(.*?)```", README.partition(text)[2], re.DOTALL)
    assert found is not None, f"no code after {text!r}"
    return found[1]


async def run(block: str, **known: Any) -> dict[str, Any]:
    """Run a block that may await and use this package; the names that it knows afterwards."""
    names = {name: getattr(ciris_registry, name) for name in ciris_registry.__all__} | known
    code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    pending = eval(code, names)  # noqa: S307 # the README is ours
    if pending is not None:
        await pending
    return names
