"""Bad input ends with one sentence."""

import pytest

from tests.fuzz.bad_input import CORPUS
from tests.fuzz.worker import failures, run_cases


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 16])
def test_bad_input_ends_with_one_sentence(every):
    assert len(CORPUS) >= 100
    assert not failures(run_cases("tests.fuzz.bad_input:try_bad", [(name,) for name in CORPUS[::every]]), ())
