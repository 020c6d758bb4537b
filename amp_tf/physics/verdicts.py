"""What a measured error is worth: pass, warn or fail by its limits, or inconclusive where rounding decides."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

PASS, WARN, INCONCLUSIVE, FAIL, ERROR = "pass", "warn", "inconclusive", "fail", "error"
NOT_APPLICABLE, NOT_RUN, INFORMATION = "not applicable", "not run", "information"
SEVERITY = {INFORMATION: 0, NOT_APPLICABLE: 1, PASS: 2, NOT_RUN: 3, WARN: 4, INCONCLUSIVE: 5, ERROR: 6, FAIL: 7}
"""Of several verdicts the one with the highest number stands for all."""

NOISES = 5.0
"""A limit is at least this many times the measured noise."""


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
        test, metric: what was measured.
        molecule: on what.
        unit: of ``value``, ``limit``, ``fail_limit`` and ``noise``.
        value: None where there is none.
        limit: up to which it passes, raised by the noise; None without a verdict.
        fail_limit: beyond which it fails.
        noise: of the value, by rounding.
        verdict: one of :data:`SEVERITY`.
        note: a sentence more.
        follows_from: the failed test that explains a failure.
    """

    test: str
    metric: str
    molecule: str = ""
    unit: str = ""
    value: float | None = None
    limit: float | None = None
    fail_limit: float | None = None
    noise: float | None = None
    verdict: str = INFORMATION
    note: str = ""
    follows_from: str = ""

    def as_record(self) -> dict[str, Any]:
        """For JSON, which has no NaN and no infinity."""
        return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in asdict(self).items()}


def judged(
    test: str, metric: str, molecule: str, unit: str, value: float, limits: tuple[float, float], noise: float = 0.0, note: str = ""
) -> Row:  # fmt: skip
    """A row with the verdict on a value that should be small.

    It passes up to the first of the ``limits``, or five times its noise where that is more, and fails beyond the second. Where five times
    the noise is more than the second, what is below that is neither: only a larger value fails.
    """
    limit, fail_limit = limits
    within = max(limit, NOISES * noise)
    if not np.isfinite(value):
        verdict, note = ERROR, f"{note}; no number" if note else "no number"
    elif NOISES * noise > fail_limit:
        verdict = INCONCLUSIVE if value <= NOISES * noise else FAIL
        remedy = "rounding is larger than what fails: compute in float64, or subtract atomic energies"
        note = f"{note}; {remedy}" if note else remedy
    else:
        verdict = PASS if value <= within else WARN if value <= fail_limit else FAIL
    return Row(test, metric, molecule, unit, float(value), float(within), float(fail_limit), float(noise), verdict, note)


def counted(test: str, metric: str, molecule: str, number: int, note: str) -> Row:
    """A row with the verdict on how many minima there are: one passes, none fails, more are worth a look."""
    verdict = PASS if number == 1 else WARN if number else FAIL
    return Row(test, metric, molecule, value=float(number), verdict=verdict, note=note)


def decided(test: str, metric: str, molecule: str, is_right: bool, note: str = "", value: float | None = None, unit: str = "") -> Row:
    """A row with the verdict on what is right or wrong."""
    return Row(test, metric, molecule, unit, value, verdict=PASS if is_right else FAIL, note=note)


def told(test: str, metric: str, molecule: str, unit: str, value: float | None, note: str = "") -> Row:
    """A row without a verdict."""
    return Row(test, metric, molecule, unit, value if value is None else float(value), note=note)


def compared(test: str, metric: str, molecule: str, unit: str, value: float, reference: float, note: str) -> Row:
    """A row with the verdict on a height beside a reference: within a fifth passes, beyond half of it fails."""
    error = abs(value / reference - 1.0) if np.isfinite(value) else np.inf
    verdict = PASS if error <= 0.2 else WARN if error <= 0.5 else FAIL
    spread = f"{reference:.3g} {unit} ± 20 %; {note}"
    return Row(test, metric, molecule, unit, float(value), verdict=verdict, note=spread)


def worst(verdicts: Iterable[str]) -> str:
    """The verdict that stands for several."""
    return max(verdicts, key=SEVERITY.__getitem__, default=NOT_APPLICABLE)
