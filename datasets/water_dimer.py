"""The water dimer of Figure 2: 360 rotations of one molecule about the common dipole axis, DF-MP2/aug-cc-pVTZ (paper, 4.1 and A.3).

The two oxygen atoms face each other 4 angstrom apart on the z axis, the hydrogen atoms point away from the other molecule, so that both
dipoles lie on the O-O axis; the second molecule turns about that axis in steps of one degree. The paper fixes the O-O distance, the axis
and the step; the rigid monomer (0.9572 angstrom, 104.52 degrees: the experimental gas-phase geometry, Benedict et al. 1956) is our choice.

Run ``make dataset-water-dimer`` or ``python -m datasets.water_dimer --help``.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from amp_tf.command import run_command
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance
from amp_tf.errors import AmpTFError, InputError
from amp_tf.files import check_outputs
from datasets.engines import ENGINES, Calculation, Engine
from datasets.parts import Arrays, Parts, run_all

BOND_LENGTH = 0.9572
BOND_ANGLE = 104.52
OXYGEN_DISTANCE = 4.0
N_ANGLES = 360
SHIPPED_FILE = Path(__file__).with_name("water_dimer.h5")
MONOMER_NUMBERS = np.array([8, 1, 1])
DIMER_NUMBERS = np.concatenate([MONOMER_NUMBERS, MONOMER_NUMBERS])


def monomer_positions() -> np.ndarray:
    """Rigid water in the xz plane, angstrom: O at the origin, both H on the side of negative z, [3, 3]."""
    half = np.deg2rad(BOND_ANGLE / 2)
    across, along = BOND_LENGTH * np.sin(half), BOND_LENGTH * np.cos(half)
    return np.array([[0.0, 0.0, 0.0], [across, 0.0, -along], [-across, 0.0, -along]])


def dimer_positions(angle: float) -> np.ndarray:
    """The dimer with the second molecule turned by ``angle`` (degrees) about z, angstrom, [6, 3]; at 0 all atoms lie in one plane."""
    first = monomer_positions()
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    second = first * [1.0, 1.0, -1.0] @ rotation.T + [0.0, 0.0, OXYGEN_DISTANCE]
    return np.concatenate([first, second])


def build(output: Path, engine: Engine, basis: str, angles: np.ndarray, workers: int, command: str) -> str:
    """Compute monomer and dimers, resuming from the parts beside ``output``, and write the reference data file.

    Returns:
        The sha256 of the file's content.
    """
    check_outputs([output])
    version = engine.version()
    settings = {
        "bond_length_angstrom": BOND_LENGTH,
        "bond_angle_degrees": BOND_ANGLE,
        "oxygen_distance_angstrom": OXYGEN_DISTANCE,
        "n_angles": len(angles),
        "basis": basis,
    }
    record = settings | {"engine": engine.name, "version": version, "angles": angles.tolist()}
    parts = Parts(output.with_name(output.name + ".parts"), record)
    tasks = {"monomer": (engine, Calculation(MONOMER_NUMBERS, monomer_positions(), basis))}
    tasks |= {f"angle_{angle:g}": (engine, Calculation(DIMER_NUMBERS, dimer_positions(angle), basis)) for angle in angles}
    run_all(tasks, _energy, parts, workers, title="water dimer")
    monomer = float(parts["monomer"]["energy"])
    energies = np.array([parts[f"angle_{angle:g}"]["energy"] for angle in angles]) - 2 * monomer
    provenance = Provenance(
        engine=engine.name,
        engine_version=version,
        level_of_theory=f"{engine.level_of_theory}, {basis} with {basis}-jkfit and {basis}-ri",
        builder_command=command,
        random_seed=None,
        energy_reference="two isolated water molecules in the same geometry at the same level "
        "(interaction energy, no counterpoise correction)",
        settings=settings | {"monomer_energy_kj_per_mol": monomer},
    )
    positions = np.stack([dimer_positions(angle) for angle in angles])
    group = FrameGroup("water_dimer", DIMER_NUMBERS, positions, energies, frame_properties={"angle": angles})
    return write_reference_data(output, provenance, (group,))


def _energy(task: tuple[Engine, Calculation]) -> Arrays:
    engine, calculation = task
    return {"energy": np.array(engine.energy(calculation))}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    output: Annotated[Path, typer.Option(help="The HDF5 file to write; finished calculations are kept beside it in OUTPUT.parts.")] = Path(
        "runs/water_dimer.h5"
    ),
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(ENGINES)}.")] = "pyscf",
    basis: Annotated[str, typer.Option(help="Orbital basis; the paper's is aug-cc-pvtz.")] = "aug-cc-pvtz",
    step: Annotated[int, typer.Option(min=1, max=N_ANGLES, help="Degrees between two configurations; the paper's is 1.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Calculations at a time, one thread each.")] = 2,
) -> None:
    """Build the water dimer reference data."""
    try:
        if engine not in ENGINES:
            raise InputError(f"unknown engine {engine!r}; choose one of {', '.join(ENGINES)}.")
        command = shlex.join(["python", "-m", "datasets.water_dimer", *sys.argv[1:]])
        angles = np.arange(0.0, N_ANGLES, step)
        digest = build(output, ENGINES[engine](), basis, angles, workers, command)
    except AmpTFError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{output}: {len(angles)} configurations, sha256 {digest}")


if __name__ == "__main__":
    run_command(app)
