"""``python -m ciris_registry`` is ``ciris-registry``."""

from ciris_registry.cli import app

app(prog_name="ciris-registry")
