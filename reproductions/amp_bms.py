"""AMP-BMS with its published weights beside the numbers of its authors' program.

``make reproduce-amp-bms OPTIONS="--weights MIN_state_dict --golden golden.npz"``.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from amp_tf.errors import InputError
from amp_tf.files import no_file, sha256_of
from amp_tf.models.amp_bms_weights import import_weights
from amp_tf.npz import read_npz
from common.results import Row, row, write_result
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS
from reproductions.interfaces import table_with_aims

MODES: dict[str, dict[str, Any]] = {"train": {}, "md": {"mode": "md"}, "train_pol1": {"polarization_factor": 1.0}}
"""Settings by the name of the mode in the file of golden numbers."""

INPUTS, OUTPUTS = ("atomic_numbers", "positions", "mm_positions", "mm_charges", "total_charge"), ("energy", "qm_gradients", "mm_gradients")
"""Arrays of that file, ``SYSTEM/name`` and ``SYSTEM/MODE/name``; kJ/mol, angstrom, e."""

AIMS = {"energy_error": 1e-6, "gradient_error": 1e-6, "relative_error": 2e-3}
"""Upper limits, in the units of the rows."""


def read_golden(path: Path) -> dict[str, np.ndarray]:
    """The numbers of the authors' program.

    Raises:
        DataFileError: if the file is damaged.
        InputError: if it is not there, or lacks what is to be compared.
    """
    if reason := no_file(path):
        raise InputError(f"{path} is {reason}; give the numbers of the authors' program, --golden FILE.npz.")
    known = read_npz(path)
    needed = []
    for mode in MODES:
        systems = systems_of(known, mode) or ["SYSTEM"]
        needed += [f"{system}/{name}" for system in systems for name in INPUTS]
        needed += [f"{system}/{mode}/{name}" for system in systems for name in OUTPUTS]
    if lacking := [name for name in needed if name not in known]:
        raise InputError(
            f"{path} lacks {lacking[0]}; give a file with arrays SYSTEM/{INPUTS[0]} … and SYSTEM/MODE/{OUTPUTS[0]} … of {', '.join(MODES)}."
        )
    return known


def systems_of(known: Mapping[str, np.ndarray], mode: str) -> list[str]:
    """Names of the systems that have numbers of a mode."""
    return [key.split("/")[0] for key in known if key.endswith(f"/{mode}/energy")]


def rows_of(weights: Path, known: Mapping[str, np.ndarray]) -> list[Row]:
    """The largest differences from what the authors' program gives, over all systems that are known, in every mode and both precisions."""
    rows = []
    for mode, settings in MODES.items():
        systems = systems_of(known, mode)
        for dtype in ("float64", "float32"):
            potential = import_weights(weights, dtype=dtype, **settings)
            errors = [_errors(potential, known, system, mode) for system in systems]
            who = {"measure": f"AMP-BMS, {mode}, {dtype}, {len(systems)} systems"}
            if dtype == "float64":
                for number, (metric, unit) in enumerate((("energy_error", "kJ/mol"), ("gradient_error", "kJ/mol/angstrom"))):
                    rows.append(row(metric, unit, max(entry[number] for entry in errors), None, **who))
            else:
                rows.append(row("relative_error", "of the largest", max(entry[2] for entry in errors), None, **who))
    return rows


def _errors(potential, known: Mapping[str, np.ndarray], system: str, mode: str) -> tuple[float, float, float]:
    """Largest differences of the energy, of gradients, and of either over the largest that is known."""
    inputs = {name: known[f"{system}/{name}"] for name in ("atomic_numbers", "positions", "mm_positions", "mm_charges")}
    found = potential.compute(**inputs, total_charge=float(known[f"{system}/total_charge"]))
    apart, relative = {}, []
    for name in ("energy", "qm_gradients", "mm_gradients"):
        expected = known[f"{system}/{mode}/{name}"]
        apart[name] = float(np.max(np.abs(found[name] - expected), initial=0.0))
        largest = np.max(np.abs(expected), initial=0.0)
        relative.append(apart[name] / largest if largest else 0.0)
    return apart["energy"], max(apart["qm_gradients"], apart["mm_gradients"]), max(relative)


def reproduce(preset: str, weights: Path, golden: Path, results: Path = RESULTS) -> Path:
    """Compare, and write ``amp-bms.<preset>.json``; there is one preset, laptop.

    Raises:
        DataFileError: if one of the files cannot be read.
        InputError: if ``golden`` lacks numbers, or for another preset.
    """
    if preset != "laptop":
        raise InputError(f"there is no PRESET={preset} of AMP-BMS's numbers; leave PRESET out.")
    started, known = time.perf_counter(), read_golden(golden)
    records = {"weights": weights, "golden": golden}
    data = {name: {"file": path.name, "sha256": sha256_of(path)} for name, path in records.items()}
    rows = rows_of(weights, known)
    return write_result("amp-bms", preset, rows, started, results, seeds=[], data=data, differs=DIFFERS)


DIFFERS = "Beyond the paper: AMP-BMS (doi 10.1021/jacs.6c00217); its authors' program ran in float64."


def table(rows: Sequence[Row]) -> str:
    """Every mode and precision with its aim."""
    return table_with_aims(rows, AIMS)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    weights: Annotated[Path, typer.Option(help="The published weights, the PyTorch file MIN_state_dict, which do not ship.")],
    golden: Annotated[Path, typer.Option(help="Numbers of the authors' program, *.npz, by SYSTEM/MODE/QUANTITY.")],
    preset: Annotated[str, typer.Option(help="laptop.")] = "laptop",
) -> None:
    """Compare AMP-BMS with the numbers of its authors' program."""
    run_reproduction(preset, lambda preset: reproduce(preset, weights, golden), lambda result: [], table)


if __name__ == "__main__":
    app()
