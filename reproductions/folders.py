"""Where results, runs and weights are, and what is read and copied there."""

import json
import zipfile
from pathlib import Path
from typing import Any

from amp_tf.errors import InputError
from amp_tf.files import whole_file
from common.results import ROOT

RESULTS = ROOT / "reproductions" / "results"
RUNS = ROOT / "runs"
WEIGHTS = ROOT / "reproductions" / "weights"
AT_ONCE = RUNS / "at_once"
"""Where the results of evaluations at once go, so that those of the training runs stay."""


def read_result(name: str, preset: str, folder: Path = RESULTS) -> dict[str, Any]:
    """A result file.

    Raises:
        InputError: if it is not there; names the command that makes it.
    """
    path = folder / f"{name}.{preset}.json"
    if not path.is_file():
        raise InputError(f"{path}: no such result; make it with: make reproduce-{name} PRESET={preset}")
    return json.loads(path.read_text())


def copy_compressed(source: Path, target: Path) -> None:
    """Copy a ``.keras`` file, its parts compressed."""
    with whole_file(target) as partial, zipfile.ZipFile(source) as old, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
