"""Work in processes of one thread each, and what result files hold."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from common.results import numbers, row
from datasets import ions
from reproductions.physnet_runs import Job, Trained, physnet, train_job
from reproductions.processes import in_processes
from reproductions.water_dimer import Outcome, Run, train_one

PHYSNET = Job("tails", Path("ions.h5"), physnet("tiny", True), {"steps": 4}, 0, {"variant": "without"})


def threads_of(name):
    """Of the process that is asked."""
    return name, os.getpid(), os.environ.get("TF_NUM_INTRAOP_THREADS")


def test_every_call_has_its_result_in_a_process_of_one_thread():
    told = []
    found = list(in_processes(threads_of, [(name,) for name in "abc"], "test", lambda result: told.append(result[0]) or "", workers=2))
    assert {name for name, *_ in found} == set(told) == set("abc")
    assert {threads for *_, threads in found} == {"1"}
    assert os.getpid() not in {process for _, process, _ in found}


def test_what_is_no_number_is_none():
    assert [row("error", "", value)["value"] for value in (1.5, float("nan"), float("inf"), None)] == [1.5, None, None, None]
    assert numbers([1.23456, float("nan")], 2) == [1.23, None]


@pytest.mark.parametrize(
    "sent",
    [
        (train_one, Run("A", "AMP(1)", 0), "smoke", Path("runs")),
        (train_job, PHYSNET, "smoke", Path("runs")),
        Outcome(Run("A", "AMP(1)", 0), 1.0, 2.0, np.zeros(3), np.zeros(2), np.zeros(2), 1.0),
        Trained(PHYSNET, Path("potential.keras"), 1.0, 0.1),
        (ions.compute, ions.Task("apart", "sodium-chloride", 0, 1, 16.0)),
    ],
    ids=lambda sent: type(sent).__name__ if not isinstance(sent, tuple) else sent[0].__name__,
)
def test_what_goes_to_processes_and_comes_back_can_be_pickled(sent):
    """The other tests of reproductions compute in one process."""
    assert repr(pickle.loads(pickle.dumps(sent))) == repr(sent)
