"""Python imports this as it starts: the process's clock is ``CIRIS_TEST_HOURS`` hours ahead."""

from __future__ import annotations

import os
import time

HOURS = int(os.environ["CIRIS_TEST_HOURS"])
_real, _real_ns = time.time, time.time_ns

time.time = lambda: _real() + HOURS * 3600
time.time_ns = lambda: _real_ns() + HOURS * 3_600_000_000_000
