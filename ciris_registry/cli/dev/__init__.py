"""``ciris-registry dev``: commands that measure the registry itself.

``bench`` measures what a call costs, ``soak`` whether memory grows over millions of calls.
"""

from __future__ import annotations

import typer

from ciris_registry.cli.dev import bench, soak

app = typer.Typer(help="Measure the registry on this machine.", no_args_is_help=True)
app.command("bench")(bench.bench)
app.command("soak")(soak.soak)
