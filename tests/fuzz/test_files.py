"""Damaged files: read as they were, or refused in one sentence, whatever the damage."""

import pytest

from tests.fuzz.subjects import ANOTHER, AS_IT_SAYS, SAME, SUBJECTS
from tests.fuzz.worker import REFUSED, failures, run_cases

N_CASES = {
    "reference data": 400, "reference data, inside": 200, "potential": 150, "checkpoint": 120, "finished run": 150, "dynamics": 60,
    "parts": 150, "arrays": 150, "foreign HDF5": 150, "weights of PyTorch": 150, "extended xyz": 400, "point charges": 300, "YAML": 400,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", N_CASES)
def test_damaged_files_are_read_as_they_were_or_refused(kind):
    outcomes = run_cases("tests.fuzz.subjects:try_damaged", [(kind, number) for number in range(N_CASES[kind])])
    assert not failures(outcomes, (SAME, ANOTHER, AS_IT_SAYS))
    assert sum(outcome.verdict != SAME for outcome in outcomes) > len(outcomes) // 4, "the damages do no harm"
    told = {verdict: sum(outcome.verdict == verdict for outcome in outcomes) for verdict in (REFUSED, SAME, ANOTHER, AS_IT_SAYS)}
    print(f"{kind}: {told}, the longest {max(outcome.seconds for outcome in outcomes):.1f} s")


def test_a_few_damaged_files_of_each_kind():
    assert set(N_CASES) == set(SUBJECTS)
    cases = [(kind, number) for kind in SUBJECTS if kind not in ("checkpoint", "finished run", "dynamics") for number in range(3)]
    assert not failures(run_cases("tests.fuzz.subjects:try_damaged", cases), (SAME, ANOTHER, AS_IT_SAYS))
