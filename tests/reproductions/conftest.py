"""Fixtures of the reproductions."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def in_this_process():
    """Reproductions compute in this process, whose TensorFlow is loaded, and not in workers that load it anew beside those of pytest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")
        yield
