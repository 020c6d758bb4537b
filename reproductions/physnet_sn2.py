"""PhysNet on a substitution at methyl, with its long-range term and without: Table 6 and Figures 5 and 6 of its paper.

``make reproduce-physnet-sn2`` (Unke and Meuwly, J. Chem. Theory Comput. 15, 3678, 2019).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ase import Atoms
from ase.constraints import FixInternals
from ase.optimize import BFGS

from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import InputError
from amp_tf.models import Potential
from amp_tf.systems import System
from common.results import Row, format_table, numbers, row, write_result
from datasets import ions
from datasets.engines import Calculation, CalculationError
from figures.physnet_sn2 import draw
from reproductions import physnet_paper
from reproductions.bond_scans import OnSurface
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS
from reproductions.physnet_runs import (
    LONG_RANGE,
    SHORT_RANGE,
    Job,
    Trained,
    data_record,
    differs_in_training,
    mean_error,
    physnet,
    published_of,
    ratio,
    rows_of_runs,
    test_frames,
    train_all,
)
from reproductions.physnet_tails import FAR, Line, curve_of, data_file, reference_curve, tail_rows

LINES = {
    "sn2-chloride": Line("Cl⁻ · CH₃Cl", "sn2-chloride", (17, 6), 2.6, (ions.REACH,)),
    "sn2-fluoride": Line("F⁻ · CH₃Cl", "sn2-fluoride", (9, 6), 2.2, (ions.REACH,)),
}
"""The ion behind the carbon."""

START = 2.3
"""Length of both bonds where the path begins, angstrom."""

FORCE_TOLERANCE = 0.01
"""Of the relaxations: the largest force, eV/angstrom."""


@dataclass(frozen=True)
class Preset:
    """What is trained, and what is followed."""

    n_frames: int
    size: str
    seeds: tuple[int, ...]
    coordinate: tuple[float, ...]
    """Differences of the two bonds, angstrom, outwards from 0."""
    settings: dict[str, Any] = field(default_factory=dict)
    n_points: int = 40
    relaxation_steps: int = 200


PRESETS = {
    "smoke": Preset(40, "tiny", (0,), (0.0, 0.5), {"steps": 4, "interval": 2, "batch_size": 4}, 5, 1),
    "laptop": Preset(
        4000, "small", (0, 1), (*np.round(np.arange(0.0, 2.0, 0.2), 2), *np.arange(2.0, 8.5, 0.5)), {"steps": 16_000, "interval": 400}
    ),
    "paper": Preset(
        452_709, "published", (0, 1, 2, 3, 4), tuple(np.round(np.arange(0.0, 8.05, 0.1), 2)), {"steps": 3_000_000, "interval": 10_000}
    ),
}
"""The published models saw 400 000 frames, 5 000 more for validation."""

COMMON = {"split": {"kind": "random", "train": 0.88, "validation": 0.03}, "energy_reference": "lowest"}
"""Of all runs: half of the frames are hot, those of the fragments alone are not."""


@dataclass(frozen=True)
class ReactionPath:
    """The reference's way from one halide to the other.

    Attributes:
        coordinate: r(C-Y) - r(C-X) of the leaving halide Y and the ion X, [n], angstrom: negative before the reaction.
        energies: [n], kJ/mol.
        geometries: positions [n_atoms, 3] of each.
        n_unrelaxed: points whose forces are still above :data:`FORCE_TOLERANCE`.
    """

    coordinate: np.ndarray
    energies: np.ndarray
    geometries: list[np.ndarray]
    n_unrelaxed: int


def followed(line: Line, coordinate: Sequence[float], most_steps: int) -> tuple[np.ndarray, ReactionPath]:
    """Atomic numbers (X, Y, C, H, H, H), and the path: all but the difference of the bonds relaxed by the engine, from the middle to both
    sides; a side ends where a relaxation fails."""
    engine, charge = ions.engine_of(ions.SYSTEMS[line.system]), sum(line.charges)
    halides = (line.anchors[0], int(np.max(line.fragments[1].atoms().numbers)))
    ring = np.array([[np.cos(angle), np.sin(angle), 0.0] for angle in 2.0 * np.pi * np.arange(3) / 3.0])
    middle = np.concatenate([[[0.0, 0, START], [0, 0, -START], [0, 0, 0]], 1.08 * ring])
    numbers = np.array([*halides, 6, 1, 1, 1])

    def surface(positions: np.ndarray) -> tuple[float, np.ndarray]:
        result = engine.embedded(Calculation(numbers, positions, charge=charge))
        return result.energy, result.qm_gradients

    found: dict[float, tuple[float, np.ndarray]] = {}
    n_unrelaxed = 0
    for sign in (1.0, -1.0):
        positions = middle
        for size in coordinate:
            wanted = sign * size
            atoms = Atoms(numbers, positions.copy())
            change = wanted - (atoms.get_distance(1, 2) - atoms.get_distance(0, 2))
            leaving = 1 if change > 0.0 else 0
            atoms.positions[leaving] += abs(change) * (atoms.positions[leaving] - atoms.positions[2]) / atoms.get_distance(leaving, 2)
            atoms.set_constraint(FixInternals(bondcombos=[[wanted, [[1, 2, 1.0], [0, 2, -1.0]]]], epsilon=1e-6))
            atoms.calc = OnSurface(surface)
            try:
                n_unrelaxed += not BFGS(atoms, logfile=None).run(FORCE_TOLERANCE, most_steps)
                energy = surface(atoms.positions)[0]
            except InputError:
                raise
            except (CalculationError, ValueError):  # ASE's, where it finds no geometry with this difference
                break
            positions = atoms.positions.copy()
            found[wanted] = energy, positions
    order = sorted(found)
    energies, geometries = (list(column) for column in zip(*(found[at] for at in order), strict=True))
    return numbers, ReactionPath(np.array(order), np.array(energies), geometries, n_unrelaxed)


def energies_on(potential: Potential, numbers: np.ndarray, path: ReactionPath, charge: float) -> np.ndarray:
    """Of a potential at the reference's geometries, kJ/mol."""
    systems = [System(numbers, positions, charge) for positions in path.geometries]
    return potential.compute_systems(systems, gradients=False)["energy"]


def jobs_of(preset: str, line: Line, runs: Path = RUNS) -> list[Job]:
    """Every seed with the long-range term and without."""
    chosen = PRESETS[preset]
    path = data_file(line.system, ions.REACH, chosen.n_frames, runs)
    return [
        Job(f"{line.system}-{'long' if variant == LONG_RANGE else 'short'}-{seed}", path, physnet(chosen.size, variant == LONG_RANGE),
            COMMON | chosen.settings, seed, {"variant": variant})
        for variant in (LONG_RANGE, SHORT_RANGE)
        for seed in chosen.seeds
    ]  # fmt: skip


def reproduce(preset: str, system: str = "sn2-chloride", results: Path = RESULTS, runs: Path = RUNS) -> Path:
    """Build the data, train, follow reaction and separation, and write ``physnet-sn2.<preset>.json``.

    Raises:
        InputError: for an unknown system.
    """
    if system not in LINES:
        raise InputError(f"there is no reaction {system!r}; choose {' or '.join(LINES)}.")
    started, chosen, line = time.perf_counter(), PRESETS[preset], LINES[system]
    jobs = jobs_of(preset, line, runs)
    elements, path = followed(line, chosen.coordinate, chosen.relaxation_steps)
    reference = reference_curve(line, chosen.n_points)
    found = train_all(jobs, preset, runs)
    rows: list[Row] = []
    curves = [_as_json("reference", None, path, path.energies, reference, reference)]
    for variant in (LONG_RANGE, SHORT_RANGE):
        of_variant = [run for run in found if run.job.who["variant"] == variant]
        rows += rows_of_runs(of_variant, physnet_paper.SN2[variant], variant=variant)
        for run in of_variant:
            seed, potential = run.job.seed, run.potential()
            energies, curve = energies_on(potential, elements, path, float(sum(line.charges))), curve_of(potential, line, chosen.n_points)
            error = float(np.mean(np.abs(energies - path.energies)))
            rows.append(row("path_mae", "kJ/mol", error, None, variant=variant, seed=seed))
            rows += tail_rows(curve, reference, line.charges, variant=variant, seed=seed)
            rows += by_composition(potential, run.job, variant=variant, seed=seed)
            curves.append(_as_json(variant, seed, path, energies, curve, reference))
    name = "physnet-sn2" if system == "sn2-chloride" else f"physnet-{system}"
    data = data_record(read_reference_data(found[0].job.data))
    return write_result(
        name, preset, rows, started, results, seeds=list(chosen.seeds), data=data, curves=curves, title=line.title,
        differs=differs(found, path), cutoff=found[0].potential().cutoff, settings=physnet(chosen.size, True) | chosen.settings,
    )  # fmt: skip


def by_composition(potential: Potential, job: Job, **who: Any) -> list[Row]:
    """Errors of the energies of test frames with both fragments, and of those with one alone, a few percent of all.

    Of a frame with both the energies of the fragments count only together; what tells them apart are the few frames of each alone.
    """
    frames = test_frames(job)
    n_atoms = np.array([len(system.atomic_numbers) for system in frames.systems])
    found = []
    for metric, is_chosen in (("energy_mae_of_both", n_atoms == n_atoms.max()), ("energy_mae_alone", n_atoms < n_atoms.max())):
        if np.any(is_chosen):
            chosen = frames[np.flatnonzero(is_chosen)]
            error = np.mean(np.abs(potential.compute_systems(list(chosen.systems), gradients=False)["energy"] - chosen.energies))
            found.append(row(metric, "kcal/mol", float(error) / units.KCAL_PER_MOL, None, **who))
    return found


def _as_json(variant: str, seed: int | None, path: ReactionPath, energies: np.ndarray, curve, reference) -> dict[str, Any]:
    """Energies over those of the reference's fragments alone."""
    return {
        "variant": variant, "seed": seed, "coordinate": path.coordinate.tolist(),
        "path": numbers(energies - reference.apart, 4), "distances": curve.distances.tolist(),
        "energies": numbers(curve.energies - reference.apart, 4),
    }  # fmt: skip


def differs(runs: Sequence[Trained], path: ReactionPath) -> str:
    """What is not as in the paper."""
    unrelaxed = (
        f" {path.n_unrelaxed} of {len(path.energies)} points of the path kept larger forces than asked for." if path.n_unrelaxed else ""
    )
    data = read_reference_data(runs[0].job.data)
    return (
        f"Differs from the paper: one reaction (paper: all of F, Cl, Br and I), {data.provenance.level_of_theory} (paper: DSD-BLYP-D3(BJ)/"
        f"def2-TZVP, and D3 in the model with long range), {len(data)} frames (paper: 452 709), of which those of hot dynamics are 1 fs "
        f"apart and split at random; {differs_in_training([run.job for run in runs])}. Errors are compared, not "
        f"reproduced.{unrelaxed}"
    )


def table(rows: Sequence[Row]) -> str:
    """A line a variant: mean errors of the seeds and those of the ensemble, beside the published ones."""
    lines = []
    for variant in (LONG_RANGE, SHORT_RANGE):
        of_variant = [entry for entry in rows if entry["variant"] == variant]
        for ensemble in (False, True):
            values = [mean_error(of_variant, metric, ensemble) for metric in COLUMNS]
            if any(value is not None for value in values):
                lines.append([variant, "ensemble" if ensemble else "mean of seeds", *values])
                theirs = [published_of(of_variant, metric, ensemble) for metric in COLUMNS]
                lines.append([variant, "published", *theirs])
                lines.append([variant, "ratio", *map(ratio, values, theirs)])
        both = [[mean_error(of_variant, metric, ensemble) for metric in COLUMNS] for ensemble in (True, False)]
        if any(value is not None for value in both[0]):
            lines.append([variant, "ensemble/single", *map(ratio, *both)])
        lines.append([variant, "null model", *(mean_error(of_variant, f"null_model_{metric}") for metric in COLUMNS)])
    return format_table(["variant", "of", *COLUMNS.values()], lines)


COLUMNS = {
    "energy_mae": "E, kcal/mol", "energy_mae_of_both": "of both together", "energy_mae_alone": "of one alone",
    "qm_gradients_mae": "F, kcal/mol/Å", "dipole_mae": "p, D", "total_charge_mae": "Σq − Q, e",
    "path_mae": "path, kJ/mol", "tail_mae": f"{FAR[0]:g} to {FAR[1]:g} Å, kJ/mol", "tail_mae_from_its_own_limit": "from its own E(∞)",
}  # fmt: skip
"""Of the table, by metric."""


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop",
    system: Annotated[str, typer.Option(help="sn2-chloride (GFN2-xTB) or sn2-fluoride (HF/def2-SVPD, a day of data).")] = "sn2-chloride",
) -> None:
    """Train PhysNet on a reaction, with its long-range term and without, and follow reaction and separation."""
    run_reproduction(preset, lambda preset: reproduce(preset, system), draw, table)


if __name__ == "__main__":
    app()
