"""What ``amp-tf check-physics`` prints, reads from its options, and ends with."""

import re

import numpy as np
import typer

from amp_tf.errors import InputError
from amp_tf.physics.bench import OUTSIDE
from amp_tf.physics.checks import CHECKS, PRESETS, PhysicsResult
from amp_tf.physics.study import STUDY
from amp_tf.physics.verdicts import ERROR, FAIL, INCONCLUSIVE, NOT_APPLICABLE, NOT_RUN, PASS, WARN, Row

COLORS = {PASS: typer.colors.GREEN, WARN: typer.colors.YELLOW, FAIL: typer.colors.RED, "error": typer.colors.RED}
FAILED, UNDECIDED = 3, 4
"""Exit status."""


def print_tests() -> None:
    """All tests by group, with what they look at and the presets that have them."""
    for name, check in CHECKS.items():
        of = ", ".join(preset for preset, names in PRESETS.items() if name in names)
        words = " ".join((check.run.__doc__ or "").split())
        typer.echo(f"{name:<15}{check.group:<14}{of:<23}{words}")


def print_result(result: PhysicsResult) -> None:
    """A line for each test: its verdict, and the number that decided it."""
    typer.echo(f"{'test':<16}{'verdict':<16}what decided it")
    for test in result.tests:
        rows = [row for row in result.rows if row.test == test]
        verdict = result.verdict(test)
        deciding = [row for row in rows if row.verdict == verdict]
        row = max(deciding, key=_how_close) if deciding else None
        shown = typer.style(f"{verdict:<16}", fg=COLORS.get(verdict), bold=verdict == FAIL)
        typer.echo(f"{test:<16}{shown}{_words(row) if row else ''}")
    for name, why in result.record.get("dropped", {}).items():
        if name.removesuffix(OUTSIDE) in result.record["own"]:
            typer.echo(f"{name}: {why}, so that some tests leave it out.")
    failures = result.failures(roots=True)
    follows = [name for name in result.failures() if name not in failures]
    if failures:
        typer.echo(f"\n{result.target} fails {', '.join(failures)}" + (f"; from that follow {', '.join(follows)}" if follows else "") + ".")
        for name in failures:
            typer.echo(f"  {name}: {CHECKS[name].harm}")


def _how_close(row: Row) -> tuple[bool, float]:
    """What follows from nothing else first, then what is farthest beyond its limit; what has none, such as a shape, is."""
    return not row.follows_from, row.value / row.limit if row.value is not None and row.limit else np.inf


def _words(row: Row) -> str:
    if row.verdict in (NOT_APPLICABLE, NOT_RUN, "error"):
        return row.note
    number = "" if row.value is None else f" {row.value:.3g} {row.unit}".rstrip()
    limit = "" if row.limit is None else f" (passes to {row.limit:.2g}, fails from {row.fail_limit:.2g})"
    follows = f"follows from {row.follows_from}" if row.follows_from else ""
    note = "".join(f"; {part}" for part in (follows, row.note) if part and row.verdict != PASS)
    return f"{row.molecule}, {row.metric}:{number}{limit}{note}"


def exit_status(result: PhysicsResult, strict: bool) -> int:
    """0, or why not: a failure (with ``strict`` also a warning, or what was inconclusive or not run), a test that raised, or nothing
    decided."""
    found = {row.verdict for row in result.rows}
    if FAIL in found or (strict and found & {WARN, INCONCLUSIVE, NOT_RUN}):
        return FAILED
    if ERROR in found:
        return 1
    return 0 if {result.verdict(test) for test in result.tests} & {PASS, WARN} else UNDECIDED


def seconds_of(text: str | None) -> float | None:
    """``90``, ``90s``, ``10m`` or ``1h`` in seconds.

    Raises:
        InputError: for another form.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not found:
        raise InputError(f"--budget {text!r} is no time; give one such as 90s or 10m.")
    return float(found[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[found[2]]


def published_words(model: str | None) -> dict[str, str]:
    """What the study says of a model, by test.

    Raises:
        InputError: for a model that it does not have.
    """
    if model is None:
        return {}
    if model not in STUDY:
        raise InputError(f"the study has no {model}; choose of {', '.join(STUDY)}.")
    return {test: said.words for test, said in STUDY[model].items()}
