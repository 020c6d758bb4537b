"""Options and fixtures of the whole test suite."""

import gc
import os
import sys

import numpy as np
import pytest

from amp_tf.systems import System
from datasets.water_dimer import SHIPPED_FILE, dimer_positions

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
for pool in ("INTRAOP", "INTEROP"):  # before the first import of TensorFlow; pytest-xdist runs one process a core
    os.environ.setdefault(f"TF_NUM_{pool}_THREADS", "1")


def pytest_addoption(parser):
    parser.addoption("--run-slow", action="store_true", help="also run tests marked slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--run-slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow; run with --run-slow"))


@pytest.fixture(autouse=True, scope="module")
def fresh_workers():
    """No worker process of joblib outlives its module: one whose memory grows after its first task, as by the import of TensorFlow, is
    ended by joblib as leaking, and a call that comes then may wait for ever."""
    yield
    if "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True, kill_workers=True)


@pytest.fixture(autouse=True, scope="module")
def no_graphs_left():
    """TensorFlow keeps the gradients of every custom_gradient that it traced, and with these the whole graph, for ever: gigabytes."""
    yield
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework.ops import gradient_registry

        for name in [name for name in gradient_registry.list() if name.startswith("CustomGradient-")]:
            del gradient_registry._registry[name]
        gc.collect()


@pytest.fixture
def random():
    """A seeded generator, the same in every test."""
    return np.random.default_rng(20231)


@pytest.fixture
def water_dimer_file():
    """The shipped reference data."""
    return SHIPPED_FILE


@pytest.fixture
def dimer():
    """The water dimer at 30 degrees."""
    return System(np.array([8, 1, 1, 8, 1, 1]), dimer_positions(30.0))
