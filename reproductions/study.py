"""The study of ML potentials beside ours: what it says of each model and test, and what the check finds. ``make reproduce-study``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from amp_tf.command import run_command
from amp_tf.errors import InputError
from amp_tf.files import write_text
from amp_tf.physics.checks import CHECKS
from amp_tf.physics.records import read_record
from amp_tf.physics.report import write_report
from amp_tf.physics.study import STUDY
from amp_tf.physics.verdicts import FAIL, INFORMATION, NOT_APPLICABLE, PASS, WARN, worst
from common.results import format_table
from reproductions.folders import RUNS
from reproductions.peers import OUTPUT

STANDS_FOR = {"7net-0": "MACE-MP"}
"""A model of the study that cannot be had, and one that was trained on the same data (MPtrj, PBE)."""

NOT_IN_THE_STUDY = {("diatomics", "F2")}
"""Test and molecule."""

SIGNS = {PASS: "pass", WARN: "warn", FAIL: "**fail**", NOT_APPLICABLE: "–", INFORMATION: "told"}


def records(folder: Path = OUTPUT) -> dict[str, dict[str, Any]]:
    """What ``make check-peers`` found with its standard preset, by name.

    Raises:
        InputError: if there is nothing.
    """
    found = {path.stem: read_record(path) for path in sorted(folder.glob("*.json")) if "." not in path.stem}
    if not found:
        raise InputError(f"{folder} has no results; make them with make check-peers.")
    return found


def overview(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Verdicts by test and model."""
    tests = [test for test in CHECKS if any(test in record["verdicts"] for record in found.values())]
    lines = [
        [test, *(SIGNS.get(verdict, verdict) for verdict in (record["verdicts"].get(test, "") for record in found.values()))]
        for test in tests
    ]
    return format_table(["test", *found], lines)


def beside_the_study(found: Mapping[str, Mapping[str, Any]]) -> str:
    """For each model that the study has, or one that stands for it: its words, our verdict, and whether these agree."""
    lines = []
    for name, record in found.items():
        model = STANDS_FOR.get(name, name)
        for test, said in STUDY.get(model, {}).items():
            ours = _verdict(record, test)
            if ours is None or NOT_APPLICABLE in (ours, said.verdict):
                continue
            lines.append(
                [
                    f"{name} for {model}" if name != model else name,
                    test,
                    said.words,
                    ours,
                    agreement(said.verdict, ours),
                    _deciding(record, test),
                ]
            )
    return format_table(["model", "test", "the study", "ours", "", "what decides ours"], lines)


def _rows(record: Mapping[str, Any], test: str) -> list[Mapping[str, Any]]:
    """Those of the molecules that the study has."""
    return [row for row in record["rows"] if row["test"] == test and (test, row["molecule"]) not in NOT_IN_THE_STUDY]


def _verdict(record: Mapping[str, Any], test: str) -> str | None:
    """The worst of these; None where the test did not run."""
    return worst(row["verdict"] for row in _rows(record, test)) if test in record["verdicts"] else None


def agreement(theirs: str, ours: str) -> str:
    """Whether both say right, or both say wrong; a warning goes with either."""
    if WARN in (theirs, ours) or theirs == ours:
        return "agrees"
    return "contradicts" if {theirs, ours} == {PASS, FAIL} else "undecided"


def _deciding(record: Mapping[str, Any], test: str) -> str:
    """The row of the worst verdict that is farthest beyond its limit, in words."""
    rows = [row for row in _rows(record, test) if row["verdict"] == _verdict(record, test)]
    if not rows:
        return ""
    row = max(rows, key=lambda row: (not row["follows_from"], (row["value"] or 0.0) / row["limit"] if row["limit"] else np.inf))
    value = "" if row["value"] is None else f" {row['value']:.3g} {row['unit']}".rstrip()
    note = f" ({row['note']})" if row["note"] else ""
    follows = f", follows from {row['follows_from']}" if row["follows_from"] else ""
    return f"{row['molecule']}: {row['metric']}{value}{note}{follows}".replace("|", "\\|")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: Annotated[Path, typer.Option(help="Where the pages go, one a model, with the curves of all.")] = RUNS / "study",
) -> None:
    """Print the verdicts of all models, and the study's words beside ours; write a page for each model."""
    found = records()
    text = f"{overview(found)}\n\n{beside_the_study(found)}\n"
    typer.echo(text)
    write_text(folder / "study.md", text)
    for name, record in found.items():
        model = STANDS_FOR.get(name, name)
        words = {test: said.words for test, said in STUDY.get(model, {}).items()}
        others = [other for of_other, other in found.items() if of_other != name]
        write_report(record, folder / f"{name}.html", others, words, model)
    typer.echo(f"wrote {folder}")


if __name__ == "__main__":
    run_command(app)
