"""Work in processes of one thread each, and what result files hold."""

import os

from common.results import numbers, row
from reproductions.processes import in_processes


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
