"""Runs the command line inside the test's process, beside the test's own event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from ciris_registry.cli import app

if TYPE_CHECKING:
    from typer.testing import Result


async def ciris(*words: str, url: str = "", columns: int = 120) -> Result:
    """``ciris-registry words…`` with ``CIRIS_REGISTRY_URL`` set to ``url``."""
    env = {
        "CIRIS_REGISTRY_URL": url,
        "CIRIS_REGISTRY_NAMESPACE": "",
        "COLUMNS": str(columns),
        "NO_COLOR": "1",
    }
    return await asyncio.to_thread(CliRunner().invoke, app, words, env=env)
