"""Molecules of your own with the twelve properties of QM9, at its level of theory (Table 3; :mod:`datasets.engines.pyscf_qm9`).

``build`` takes SMILES or xyz files, optimizes the geometries and computes all targets; without molecules those that ship.
``check`` computes molecules of the archive anew from its geometries, and prints every difference.

Run ``python -m datasets.qm9_like --help``.
"""

import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from ase.data import chemical_symbols

from amp_tf.command import run_command
from amp_tf.data import qm9
from amp_tf.data.frames import RawFrame, as_reference_data
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.reference_data import Provenance
from amp_tf.errors import InputError
from amp_tf.files import check_outputs
from amp_tf.simulation.solutes import Solute, solute_from_smiles, solute_from_xyz
from datasets.engines.base import CalculationError
from datasets.engines.pyscf_qm9 import ELEMENTS, LEVEL_OF_THEORY, properties, record
from datasets.parts import Arrays, Parts, failures_of, report, run_all

SHIPPED_FILE = Path(__file__).with_name("qm9_sample.h5")
"""The molecules of :data:`SHIPPED`, for tests and the smoke preset."""

SHIPPED = [
    "C", "N", "O",
    "CC", "C=C", "C#C", "CN", "C=N", "C#N", "CO", "C=O", "CF", "NN", "N=N", "NO", "N=O", "OO",
    "CCC", "C=CC", "CC#C", "C=C=C", "C1CC1", "C1=CC1", "CCN", "C=CN", "CC=N", "CC#N", "CNC", "CN=C", "C1CN1", "CCO", "C=CO", "CC=O",
    "COC", "C1CO1", "C=C=O", "CCF", "C=CF", "C#CF", "NC=N", "N#CN", "NC=O", "OC=O", "O=C=O", "N=C=O", "O=CF", "FCF", "N#CF",
    "CNN", "C=NN", "CON", "CNO", "C=NO", "CN=O", "COO", "C#CC#C", "C#CC#N", "N#CC#N", "O=CC=O", "FC(F)F",
]  # fmt: skip
"""SMILES of small molecules with C, H, N, O and F, not all of them in QM9."""

UNITS = {"mu": "D", "alpha": "a0^3", "r2": "a0^2", "cv": "cal/mol/K"} | dict.fromkeys(
    ("homo", "lumo", "gap", "zpve", "u0", "u", "h", "g"), "Eh"
)
"""Of the archive."""


def compute(task: tuple[np.ndarray, np.ndarray]) -> Arrays:
    """What a molecule's part holds; one that fails is recorded as ``failure``."""
    try:
        found = properties(*task)
    except CalculationError as error:
        return {"failure": np.array(str(error))}
    values = {name: np.array(found.values[name]) for name in qm9.COLUMNS}
    return {"positions": found.positions, "charges": found.charges, "symmetry_number": np.array(found.symmetry_number), **values}


def frames_of(molecules: Mapping[str, Solute], results: Mapping[str, Arrays]) -> list[RawFrame]:
    """The molecules that did not fail, in our units."""
    frames = []
    for name, result in results.items():
        symbols = [chemical_symbols[number] for number in molecules[name].atomic_numbers]
        values = {column: float(result[column]) for column in qm9.COLUMNS}
        numbers = {"symmetry_number": float(result["symmetry_number"])}
        frames.append(qm9.frame_of(symbols, result["positions"], result["charges"], values, numbers))
    return frames


def checked(name: str, molecule: Solute) -> Solute:
    """The molecule with its heavy atoms first.

    Raises:
        InputError: for a charged one or elements that QM9 lacks.
    """
    if molecule.charge:
        raise InputError(f"{name} has a charge of {molecule.charge:+d} e; the molecules of QM9 are neutral.")
    if strangers := sorted({chemical_symbols[number] for number in molecule.atomic_numbers} - set(ELEMENTS)):
        raise InputError(f"{name} holds {', '.join(strangers)}; {LEVEL_OF_THEORY} is known for {', '.join(ELEMENTS)}.")
    order = np.argsort(-molecule.atomic_numbers, kind="stable")
    return Solute(name, molecule.atomic_numbers[order], molecule.positions[order], 0)


def from_smiles(smiles: str) -> Solute:
    """Raises:
    InputError: for one with several fragments, or that RDKit refuses.
    """
    if "." in smiles:
        raise InputError(f"the SMILES {smiles!r} has several fragments; give one molecule at a time.")
    return checked(smiles, solute_from_smiles(smiles, smiles))


def build(
    molecules: Mapping[str, Solute], output: Path, command: str, workers: int = 1, dask: str | None = None
) -> tuple[str, list[str]]:  # fmt: skip
    """Compute the molecules, resuming from the parts beside ``output``, and write the reference data file.

    Returns:
        The sha256 of the file's content, and a line for every molecule that failed and is left out.

    Raises:
        EngineError: if all failed.
    """
    check_outputs([output])
    made_with = record()
    results, failures = _results(molecules, Parts(output.with_name(f"{output.name}.parts"), made_with), workers, dask)
    data = as_reference_data(frames_of(molecules, results), output.name, LEVEL_OF_THEORY, command, qm9.ENERGY_REFERENCE)
    about = made_with | {"molecules": list(results), "left_out": failures}
    settings = data.provenance.model_dump() | {name: made_with[name] for name in ("engine", "engine_version")} | {"settings": about}
    return write_reference_data(output, Provenance(**settings), data.groups), failures


def _results(molecules: Mapping[str, Solute], parts: Parts, workers: int, dask: str | None) -> tuple[dict[str, Arrays], list[str]]:
    names = {name: _part_of(molecule) for name, molecule in molecules.items()}
    tasks = {names[name]: (molecule.atomic_numbers, molecule.positions) for name, molecule in molecules.items()}
    run_all(tasks, compute, parts, workers, "molecules", dask)
    results = {name: parts[names[name]] for name in molecules}
    failures = failures_of({names[name]: result for name, result in results.items()}, parts)
    told = [f"{name}, {failure}" for failure in failures for name, part in names.items() if failure.startswith(f"{part}:")]
    return {name: result for name, result in results.items() if "failure" not in result}, told


def _part_of(molecule: Solute) -> str:
    digest = hashlib.sha256(molecule.atomic_numbers.tobytes() + np.round(molecule.positions, 6).tobytes()).hexdigest()
    return f"molecule_{digest[:16]}"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__.split("\n")[0])

WORKERS = Annotated[int, typer.Option(min=1, help="Molecules computed at a time on this machine.")]
DASK = Annotated[str | None, typer.Option(help="Address of a Dask scheduler whose workers compute instead.")]


@app.command("build")
def build_command(
    smiles: Annotated[list[str] | None, typer.Argument(help="SMILES; without them and --xyz the molecules that ship.")] = None,
    xyz: Annotated[list[Path] | None, typer.Option(help="A geometry to start from; repeat it.")] = None,
    output: Annotated[Path, typer.Option(help="Reference data to write; finished molecules are kept beside it.")] = Path(
        "runs/qm9_like.h5"
    ),
    workers: WORKERS = 2,
    dask: DASK = None,
) -> None:
    """Optimize molecules and compute the twelve properties of QM9."""

    def work():
        check_outputs([output], {f"the molecule {path}": path for path in xyz or ()})
        chosen = smiles or ([] if xyz else SHIPPED)
        molecules = {text: from_smiles(text) for text in chosen} | {
            str(path): checked(str(path), solute_from_xyz(path)) for path in xyz or ()
        }
        command = shlex.join(["python", "-m", "datasets.qm9_like", *sys.argv[1:]])
        return output, *build(molecules, output, command, workers, dask)

    report(work)


@app.command("check")
def check_command(
    archive: Annotated[Path, typer.Argument(help="QM9's archive, or a folder of some of its members.")],
    members: Annotated[list[int] | None, typer.Option("--member", help="Number of a molecule; the first ten by default.")] = None,
    folder: Annotated[Path, typer.Option(help="Where finished molecules are kept.")] = Path("runs/qm9_check.parts"),
    workers: WORKERS = 2,
) -> None:
    """Compute molecules of the archive anew, and print what differs from it."""
    frames = {int(frame.properties["gdb"]): frame for frame in qm9.read_qm9(archive, progress=True)}
    chosen = members or list(frames)[:10]
    if absent := [number for number in chosen if number not in frames]:
        raise InputError(f"{archive} has no molecule {absent[0]}; choose others.")
    molecules = {f"gdb {n}": checked(f"gdb {n}", Solute("", frames[n].atomic_numbers, frames[n].positions, 0)) for n in chosen}
    results, failures = _results(molecules, Parts(folder, record()), workers, None)
    ours = dict(zip(results, frames_of(molecules, results), strict=True))
    print_differences({name: frames[int(name.split()[1])] for name in ours}, ours)
    rotating = [f"{name} ({number})" for name, frame in ours.items() if (number := round(frame.properties["symmetry_number"])) > 1]
    if rotating:
        typer.echo(f"symmetry numbers: {', '.join(rotating)}; g contains RT ln of them, and in the archive often of 1")
    for failure in failures:
        typer.echo(f"failed: {failure}")
    if failures:
        typer.echo(f"to try these again, delete their files in {folder} and run the same command.")


def print_differences(archive: Mapping[str, RawFrame], ours: Mapping[str, RawFrame]) -> None:
    """Ours less the archive's, in the units of the archive, a line a molecule, and the largest of each property."""
    names: Sequence[str] = list(qm9.COLUMNS)
    typer.echo(f"{'ours - archive':<16}" + "".join(f"{name:>11}" for name in names))
    typer.echo(f"{'':<16}" + "".join(f"{UNITS[name]:>11}" for name in names))
    rows = {label: [(ours[label].targets[name] - archive[label].targets[name]) / qm9.COLUMNS[name] for name in names] for label in ours}
    rows["largest"] = np.max(np.abs(list(rows.values())), axis=0).tolist()
    for label, row in rows.items():
        typer.echo(f"{label:<16}" + "".join(f"{difference:>11.2g}" for difference in row))


if __name__ == "__main__":
    run_command(app)
