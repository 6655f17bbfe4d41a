"""``python -m ciris_registry.demo``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ciris_registry.demo import run


def main() -> int:
    """Run the demo with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m ciris_registry.demo", description=run.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--agents", type=int, default=4, help="2 to 16")
    parser.add_argument("--seconds", type=float, default=15.0, help="12 to 600")
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--hold", action="store_true")
    return run(**vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
