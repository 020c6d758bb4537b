"""Where the limits of memory can be told."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _needs_proc():
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc, which tells the memory of a process")
