"""The worker notices what it is there for."""

import os
import resource
import time

import numpy as np
import pytest

from amp_tf.errors import InputError
from tests.fuzz.worker import REFUSED, failures, run_cases

N_BYTES = 400_000_000


def behave(how: str) -> tuple[str, str]:
    if how == "sentence":
        raise InputError("one sentence.")
    if how == "sentences":
        raise InputError("one\nTraceback")
    if how == "traceback":
        raise ValueError(how)
    if how == "crash":
        os.abort()
    if how == "hang":
        time.sleep(60)
    if how == "memory":
        np.ones(N_BYTES)
    if how == "peak":
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        np.ones(N_BYTES // 8)
    if how == "hidden memory":
        try:
            np.ones(N_BYTES)
        except MemoryError as error:
            raise InputError("too large.") from error
    return "as before", how


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ("sentence", REFUSED), ("nothing", "as before"), ("sentences", "no sentence"), ("traceback", "traceback of ValueError"),
        ("crash", "died, exit status -6"), ("hang", "longer than allowed"), ("memory", "MemoryError"), ("hidden memory", "too much memory"),
        ("peak", "too much memory"),
    ],
)  # fmt: skip
def test_verdicts(how, verdict):
    first, second, third = run_cases("tests.fuzz.test_worker:behave", [("nothing",), (how,), ("nothing",)], 3.0, N_BYTES)
    assert verdict in second.verdict
    assert (first.verdict, third.verdict) == ("as before", "as before")
    is_right = verdict in (REFUSED, "as before")
    assert bool(failures([first, second, third], ("as before",))) != is_right
