"""What a potential gives through its interfaces: ASE, OpenMM, ``amp-tf md`` and, with their files, the authors' published weights.

``make reproduce-interfaces OPTIONS="--weights MIN_state_dict --golden golden.npz"``.
"""

import copy
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ase import Atoms
from ase.calculators.qmmm import EIQMMM, LJInteractions
from ase.calculators.tip3p import TIP3P, angleHOH, epsilon0, rOH, sigma0
from scipy.spatial.distance import cdist

from amp_tf.errors import InputError
from amp_tf.files import sha256_of
from amp_tf.interfaces.ase import AMPCalculator
from amp_tf.interfaces.openmm import mixed_system
from amp_tf.interfaces.zone import Zone
from amp_tf.models.amp_bms_weights import import_weights
from amp_tf.npz import read_npz
from amp_tf.shipped import potential_file
from amp_tf.simulation.dynamics import Dynamics, Run
from amp_tf.simulation.observables import read_trajectory
from amp_tf.simulation.scene import SoluteInWater
from amp_tf.simulation.solutes import solute_by_name
from amp_tf.simulation.water_box import import_openmm, on_cpu
from common.results import Row, format_table, row, write_result
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS

SOLUTE = "uracil"
N_WATERS, CLOSEST = 6, 2.2
"""Around the molecule, in random directions, as near as no two atoms come closer than this, angstrom."""

STEP = 1e-4
"""Of the finite differences, angstrom."""

MODES: dict[str, dict[str, Any]] = {"train": {}, "md": {"mode": "md"}, "train_pol1": {"polarization_factor": 1.0}}
"""Settings of AMP-BMS by their name in the file of golden numbers."""

AIMS = {
    "force_error": 1e-5, "copy_difference": 1e-6, "xml_difference": 1e-6, "checkpoint_difference": 1e-6, "energy_error": 1e-6,
    "gradient_error": 1e-6, "relative_error": 2e-3, "lost_frames": 0,
}  # fmt: skip
"""Upper limits, in the units of the rows."""


@dataclass(frozen=True)
class Preset:
    """Size of the reproduction.

    Attributes:
        moved: atoms of uracil and the waters whose forces are compared with differences; None: all.
        steps: of 0.5 fs from a checkpoint.
        md: changes of :class:`amp_tf.simulation.dynamics.Dynamics`.
        picoseconds: of the run and of the one that goes on.
    """

    moved: tuple[int, ...] | None
    steps: int
    md: Mapping[str, Any]
    picoseconds: tuple[float, float]


PRESETS = {
    "smoke": Preset(
        (0, 12, 13), 2, {"equilibration": 0.02, "relaxation": 0.002, "interval": 2, "zone": 4.0, "margin": np.inf}, (0.002, 0.004)
    ),
    "laptop": Preset(None, 20, {"equilibration": 2.0, "relaxation": 0.2, "interval": 10}, (0.05, 0.1)),
}


def qmmm_rows(path: Path, moved: Sequence[int] | None) -> list[Row]:
    """ASE's EIQMMM of the molecule and six waters, in float64: forces against central differences of the energy, and the energy where a
    water molecule alone moves."""
    random, solute = np.random.default_rng(3), solute_by_name(SOLUTE)
    atoms = Atoms(solute.atomic_numbers, solute.positions - solute.positions.mean(axis=0))
    add_waters(atoms, N_WATERS, random)
    n_solute = len(solute.positions)
    terms = {("O", "O"): (epsilon0, sigma0), ("C", "O"): (epsilon0, sigma0), ("N", "O"): (epsilon0, sigma0)}
    calculator = AMPCalculator(path, dtype="float64")
    atoms.calc = EIQMMM(range(n_solute), calculator, TIP3P(rc=9.0), LJInteractions(terms))
    atoms.center(vacuum=12.0)
    atoms.pbc = True
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    errors = []
    for atom in range(len(atoms)) if moved is None else moved:
        for axis in range(3):
            ends = []
            for sign in (1.0, -1.0):
                there = atoms.copy()
                there.calc = atoms.calc
                there.positions[atom, axis] += sign * STEP
                ends.append(there.get_potential_energy())
            errors.append(abs(forces[atom, axis] + (ends[0] - ends[1]) / (2.0 * STEP)))
    atoms.positions[n_solute : n_solute + 3, 0] += 0.2
    who = {"measure": "EIQMMM of ASE, uracil and six waters"}
    return [
        row("force_error", "eV/angstrom", max(errors), None, **who),
        row("energy_change", "eV", atoms.get_potential_energy() - energy, None, **who),
    ]


def add_waters(atoms: Atoms, n_waters: int, random: np.random.Generator) -> None:
    """Add water molecules, oxygen first, turned at random, in random directions from the origin: see :data:`CLOSEST`."""
    angle = np.radians(angleHOH)
    water = rOH * np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [np.cos(angle), np.sin(angle), 0.0]])
    for _ in range(n_waters):
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        place, direction = water @ turn.T, random.normal(size=3)
        while cdist(place, atoms.positions).min() < CLOSEST:
            place = place + 0.1 * direction / np.linalg.norm(direction)
        atoms += Atoms("OHH", place)


def openmm_rows(path: Path, preset: Preset) -> list[Row]:
    """One geometry in a box of water: energies of the mixed system, its copy and what its XML gives, and of two ways from one checkpoint,
    the second in a context of its own."""
    openmm, solute, dynamics = import_openmm(), solute_by_name(SOLUTE), Dynamics(**preset.md)
    setup = SoluteInWater(solute)
    positions, box = setup.start(path, dynamics, (1, 2, 3), 1)
    scene = setup.scene(positions, box)
    mixed, _ = mixed_system(
        scene.topology, scene.system, scene.atoms, [path], float(solute.charge), Zone(dynamics.zone, dynamics.switch), False, 0,
        dynamics.margin,
    )  # fmt: skip

    def started(system):
        simulation = on_cpu(system, openmm.VerletIntegrator(5e-4), positions, box, 1)
        simulation.context.setVelocitiesToTemperature(300.0, 1)
        return simulation

    def energy(simulation) -> float:
        return simulation.context.getState(energy=True).getPotentialEnergy()._value

    first = started(mixed)
    at_start, saved, kept = energy(first), first.context.createCheckpoint(), openmm.XmlSerializer.serialize(mixed)
    first.step(preset.steps)
    second = started(openmm.XmlSerializer.deserialize(kept))
    from_xml = energy(second)
    second.context.loadCheckpoint(saved)
    second.step(preset.steps)
    who = {"measure": f"OpenMM, uracil in {len(scene.waters)} waters"}
    return [
        row("copy_difference", "kJ/mol", abs(energy(started(copy.deepcopy(mixed))) - at_start), None, **who),
        row("xml_difference", "kJ/mol", abs(from_xml - at_start), None, **who),
        row("checkpoint_difference", "kJ/mol", abs(energy(second) - energy(first)), None, **who, steps=preset.steps),
        row("energy_change", "kJ/mol", energy(first) - at_start, None, **who, steps=preset.steps),
    ]


def continued_rows(path: Path, preset: Preset, folder: Path) -> list[Row]:
    """A run of ``amp-tf md`` that goes on longer in the same folder: the frames that are missing from its energies and its trajectory."""
    if folder.is_dir():
        shutil.rmtree(folder)
    solute = solute_by_name(SOLUTE)
    for picoseconds in preset.picoseconds:
        dynamics = Dynamics(picoseconds=picoseconds, **preset.md)
        run = Run(folder, [path], SoluteInWater(solute), dynamics, xla=False, n_threads=1)
        run.run(progress=False)
    steps = np.atleast_1d(np.genfromtxt(run.energies, delimiter=",", names=True)["step"]).astype(int)
    expected = dynamics.interval * np.arange(1, dynamics.n_frames + 1)
    n_written = sum(len(frames) for frames in read_trajectory(run.trajectory, run.scene.topology))
    who = {"measure": f"amp-tf md, {preset.picoseconds[0]:g} ps and on to {preset.picoseconds[1]:g} ps"}
    lost = len(np.setxor1d(steps, expected)) + len(steps) - len(np.unique(steps)) + abs(n_written - len(expected))
    return [row("lost_frames", "", lost, None, **who)]


def golden_rows(weights: Path, golden: Path) -> list[Row]:
    """The largest differences from what the authors' program gives, over all systems of the file, in its modes and both precisions.

    Raises:
        DataFileError: if a file cannot be read.
        InputError: if ``golden`` has no energies of a mode.
    """
    known = read_npz(golden)
    rows = []
    for mode, settings in MODES.items():
        systems = [key.split("/")[0] for key in known if key.endswith(f"/{mode}/energy")]
        if not systems:
            raise InputError(
                f"{golden} has no energies of mode {mode}; give the file whose arrays are named SYSTEM/{mode}/energy and so on."
            )
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


def reproduce(
    preset: str, weights: Path | None = None, golden: Path | None = None, results: Path = RESULTS, runs: Path = RUNS
) -> Path:  # fmt: skip
    """Measure with the uracil potential that ships, and write ``interfaces.<preset>.json``.

    Raises:
        InputError: for a preset that there is not, or one of the two files of AMP-BMS without the other.
        EngineError: without OpenMM.
    """
    if preset not in PRESETS:
        raise InputError(f"there is no PRESET={preset} of the interfaces; choose {' or '.join(PRESETS)}.")
    if (weights is None) != (golden is None):
        raise InputError("AMP-BMS takes its published weights and the numbers of the authors' program; give --weights and --golden.")
    started, chosen, path = time.perf_counter(), PRESETS[preset], potential_file(SOLUTE)
    rows = qmmm_rows(path, chosen.moved)
    rows += openmm_rows(path, chosen)
    rows += continued_rows(path, chosen, runs / "interfaces" / preset)
    data = {"file": path.name, "sha256": sha256_of(path)}
    if weights is not None and golden is not None:
        rows += golden_rows(weights, golden)
        data |= {"weights_sha256": sha256_of(weights), "golden_sha256": sha256_of(golden)}
    return write_result("interfaces", preset, rows, started, results, seeds=[1, 2, 3], data=data, differs=DIFFERS)


DIFFERS = "Beyond the paper, which has no interfaces. The uracil potential that ships; differences in float64 where nothing else is said."


def table(rows: Sequence[Row]) -> str:
    """Every measure with its aim."""
    lines = []
    for entry in rows:
        limit = AIMS.get(entry["metric"])
        aim = "" if limit is None else f"<= {limit:g}"
        lines.append([entry["measure"], entry["metric"].replace("_", " "), entry["value"], entry["unit"], aim])
    return format_table(["measure", "of it", "value", "unit", "aim"], lines)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke or laptop.")] = "laptop",
    weights: Annotated[Path | None, typer.Option(help="The published weights of AMP-BMS, MIN_state_dict, which do not ship.")] = None,
    golden: Annotated[Path | None, typer.Option(help="Numbers of the authors' program, *.npz, by SYSTEM/MODE/QUANTITY.")] = None,
) -> None:
    """Measure what the uracil potential gives through ASE, OpenMM and amp-tf md, and AMP-BMS beside its authors' numbers."""
    run_reproduction(preset, lambda preset: reproduce(preset, weights, golden), lambda result: [], table)


if __name__ == "__main__":
    app()
