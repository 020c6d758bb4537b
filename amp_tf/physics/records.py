"""The result of an examination as JSON: rows, curves, and under which circumstances they were found."""

import datetime
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from amp_tf.errors import DataFileError
from amp_tf.files import write_json
from amp_tf.physics.checks import PhysicsResult

FORMAT = "amp_tf physics 1"

RECORDED = ("amp_tf", "ase", "numpy", "tensorflow", "keras", "torch", "torchani", "sevenn", "tblite")
"""Packages whose versions are kept where they are installed."""


def record_of(result: PhysicsResult, published: dict[str, str] | None = None, command: str = "") -> dict[str, Any]:
    """As JSON has it; ``published``: words of a publication by test; ``command``: that asked for it."""
    return {
        "format": FORMAT,
        "target": result.target,
        "command": command,
        "tests": result.tests,
        "verdicts": {test: result.verdict(test) for test in result.tests},
        "rows": [row.as_record() | {"published": (published or {}).get(row.test)} for row in result.rows],
        "curves": [curve.as_record() for curve in result.curves],
        "maps": result.maps,
        "seconds": result.seconds,
        "wall_seconds": round(sum(result.seconds.values()), 1),
        "was_interrupted": result.was_interrupted,
        **result.record,
        "versions": _versions(),
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}",
        "date": datetime.date.today().isoformat(),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in RECORDED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Whole or not at all.

    Raises:
        InputError: if it cannot be written.
    """
    write_json(path, record)


def read_record(path: Path) -> dict[str, Any]:
    """What :func:`write_record` wrote.

    Raises:
        DataFileError: if it is missing, or another file.
    """
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} cannot be read as a result of amp-tf check-physics; give a file that --json wrote.") from error
    needed = {"target", "tests", "verdicts", "rows", "curves", "maps"}
    if not isinstance(record, dict) or record.get("format") != FORMAT or not needed <= record.keys():
        raise DataFileError(f"{path} is no result of amp-tf check-physics ({FORMAT}); give a file that --json wrote.")
    return record
