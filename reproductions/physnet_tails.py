"""What PhysNet knows of ions far apart: energies along a line, with and without its long-range term. ``make reproduce-physnet-tails``.

The tails of Figures 5 and 6 (Unke and Meuwly, J. Chem. Theory Comput. 15, 3678, 2019) on ions of four kinds, and on a neutral pair.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import joblib
import numpy as np
import typer
from ase import Atoms

from amp_tf import units
from amp_tf.models import Potential
from amp_tf.systems import System
from common.results import Row, format_table, numbers, row, write_result
from datasets import ions
from datasets.engines import Calculation, CalculationError
from figures.physnet_tails import draw
from reproductions import physnet_paper
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS
from reproductions.physnet_runs import (
    LONG_RANGE,
    SHORT_RANGE,
    Job,
    Trained,
    data_records,
    differs_in_training,
    physnet,
    rows_of_runs,
    train_all,
)

FAR = (10.0, 40.0)
"""Where slopes and prefactors are fitted, angstrom."""

SMALLEST = 0.02
"""A smaller interaction, kJ/mol, is none: what single precision, and the convergence of an engine, leave of energies."""

FARTHEST = 5e3
"""Where fragments are apart, angstrom."""


@dataclass(frozen=True)
class Line:
    """Two fragments on a line.

    Attributes:
        title: of the figure.
        system: of :data:`datasets.ions.SYSTEMS`; its first pair stands on the line.
        anchors: atomic number of the atom of each fragment between which the distance is counted.
        nearest: where the line begins, angstrom.
        reaches: how far the training data reach, angstrom; one run each.
    """

    title: str
    system: str
    anchors: tuple[int, int]
    nearest: float
    reaches: tuple[float, ...]

    @property
    def fragments(self) -> tuple[ions.Fragment, ions.Fragment]:
        """The pair."""
        return ions.SYSTEMS[self.system].pairs[0]

    @property
    def charges(self) -> tuple[int, int]:
        """Of the fragments, e."""
        return self.fragments[0].charge, self.fragments[1].charge


LINES = (
    Line("Na⁺ · Cl⁻", "sodium-chloride", (11, 17), 2.0, (8.0, 16.0)),
    Line("NH₄⁺ · Na⁺", "ammonium-sodium", (7, 11), 6.4, (16.0,)),
    Line("Cl⁻ · CH₃Cl", "sn2-chloride", (17, 6), 2.6, (16.0,)),
    Line("Cl⁻ · H₂O", "chloride-water", (17, 8), 2.8, (16.0,)),
    Line("HCOOH · HCOOH", "formic-acid", (6, 6), 4.5, (16.0,)),
)
"""Ion and ion at a total charge of 0 and of 2, ion and dipole, and a neutral pair, where the long-range term must change little."""


@dataclass(frozen=True)
class Preset:
    """What is trained."""

    lines: tuple[Line, ...]
    n_frames: int
    size: str
    settings: dict[str, Any] = field(default_factory=dict)
    n_points: int = 40


PRESETS = {
    "smoke": Preset((replace(LINES[0], reaches=(8.0,)),), 40, "tiny", {"steps": 4, "interval": 2, "batch_size": 4}, 6),
    "laptop": Preset(LINES, 1000, "small", {"steps": 4000, "interval": 200}),
    "paper": Preset(LINES, 4000, "published", {"steps": 100_000, "interval": 1000}),
}


def data_file(system: str, reach: float, n_frames: int, runs: Path = RUNS) -> Path:
    """Reference data of a system, built where they are missing; what was killed goes on."""
    path = runs / "physnet" / "data" / f"{system}-{reach:g}-{n_frames}.h5"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"{system}: building {n_frames} frames within {reach:g} angstrom, {path}", flush=True)
        command = f"python -m datasets.ions build {system} --frames {n_frames} --reach {reach:g} --output {path.name}"
        _, left_out = ions.build(system, n_frames, path, command, joblib.cpu_count(), reach)
        print(f"{system}: {len(left_out)} frames left out", flush=True)
    return path


def placed(line: Line, distance: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Atomic numbers, positions [n_atoms, 3] (angstrom) and total charge of the pair at a distance of its anchors.

    The molecule turns to the other fragment what is opposite to its heaviest other atom: to the ion the carbon of chloromethane, the
    hydrogen atoms of water, a face of ammonium.
    """
    first, second = (
        turned(fragment.atoms(), anchor, sign) for fragment, anchor, sign in zip(line.fragments, line.anchors, (1.0, -1.0), strict=True)
    )
    second.positions[:, 2] += distance
    return ions.joined(first, second, line.charges)[:3]


def turned(atoms: Atoms, anchor: int, sign: float) -> Atoms:
    """The fragment with its anchor at the origin, its open side along ``sign`` times z."""
    found = atoms.copy()
    at = int(np.flatnonzero(found.numbers == anchor)[0])
    found.positions -= found.positions[at]
    if len(found) > 1:
        others = [atom for atom in range(len(found)) if atom != at]
        if len({int(found.numbers[atom]) for atom in others}) == 1 and len(others) < 4:
            open_side = found.positions[others].mean(axis=0)  # the hydrogen atoms of water
        else:
            open_side = -found.positions[max(others, key=lambda atom: found.numbers[atom])]
        found.rotate(open_side, [0.0, 0.0, sign])
    return found


@dataclass(frozen=True)
class Curve:
    """Energies along a line.

    Attributes:
        distances: [n], angstrom.
        energies: [n], kJ/mol; nan where a calculation failed.
        apart: the energy at infinite distance, kJ/mol.
    """

    distances: np.ndarray
    energies: np.ndarray
    apart: float

    @property
    def interaction(self) -> np.ndarray:
        """Energies less that at infinite distance."""
        return self.energies - self.apart


def reference_curve(line: Line, n_points: int) -> Curve:
    """Of the engine that labels the data; at infinite distance the sum of the fragments."""
    engine = ions.engine_of(ions.SYSTEMS[line.system])

    def energy(elements: np.ndarray, positions: np.ndarray, charge: int) -> float:
        try:
            return engine.embedded(Calculation(elements, positions, charge=charge)).energy
        except CalculationError:
            return np.nan

    distances = distances_of(line, n_points)
    alone = [energy(fragment.atoms().numbers, fragment.atoms().positions, fragment.charge) for fragment in line.fragments]
    return Curve(distances, np.array([energy(*placed(line, distance)) for distance in distances]), float(np.sum(alone)))


def curve_of(potential: Potential, line: Line, n_points: int) -> Curve:
    """Of a potential. Its limit is that of the pair, less Coulomb's law there; the sum of its fragments alone is another where charges are
    corrected over all atoms (Eq. 14)."""
    distances = distances_of(line, n_points)
    systems = [System(*placed(line, distance)) for distance in (*distances, FARTHEST)]
    found = [potential.compute_systems([system], gradients=False) for system in systems]
    apart = found[-1]["energy"][0]
    if "charges" in found[-1]:
        first = systems[-1].positions[:, 2] < 0.5 * FARTHEST
        charges = found[-1]["charges"][0]
        apart -= units.COULOMB_CONSTANT * charges[first].sum() * charges[~first].sum() / FARTHEST
    return Curve(distances, np.array([result["energy"][0] for result in found[:-1]]), float(apart))


def distances_of(line: Line, n_points: int) -> np.ndarray:
    """Of a line, with the ends of :data:`FAR`, angstrom."""
    return np.unique(np.round([*np.geomspace(line.nearest, FAR[1], n_points), *FAR], 3))


def _far(curve: Curve) -> np.ndarray:
    return (curve.distances >= FAR[0]) & (curve.distances <= FAR[1]) & np.isfinite(curve.energies)


def slope(curve: Curve) -> float | None:
    """Of the logarithm of the interaction over that of the distance, in :data:`FAR`; None where there is no interaction."""
    far = _far(curve)
    sizes = np.abs(curve.interaction[far])
    return None if not far.any() or sizes.min() < SMALLEST else float(np.polyfit(np.log(curve.distances[far]), np.log(sizes), 1)[0])


def prefactor(curve: Curve, reference: Curve, charges: tuple[int, int]) -> float | None:
    """How large the interaction is in :data:`FAR`, beside Coulomb's law where both fragments are ions, otherwise beside the reference; None
    where that has none, and for the reference beside itself."""
    far = _far(curve) & _far(reference)
    if all(charges):
        law = units.COULOMB_CONSTANT * charges[0] * charges[1] / curve.distances[far]
    elif curve is reference:
        return None
    else:
        law = reference.interaction[far]
    return float(np.mean(curve.interaction[far] / law)) if far.any() and np.abs(law).min() > SMALLEST else None


def tail_rows(curve: Curve, reference: Curve, charges: tuple[int, int], **who: Any) -> list[Row]:
    """What a potential makes of the tail, from 10 to 40 angstrom."""
    far = _far(curve) & _far(reference)
    errors, own = curve.energies - reference.energies, curve.interaction - reference.interaction
    return [
        row("slope", "", slope(curve), None, **who),
        row("prefactor", "", prefactor(curve, reference, charges), None, **who),
        row("tail_mae", "kJ/mol", float(np.mean(np.abs(errors[far]))), None, **who),
        row("tail_mae_from_its_own_limit", "kJ/mol", float(np.mean(np.abs(own[far]))), None, **who),
    ]


def charge_error(potential: Potential, line: Line, n_points: int) -> float:
    """How far the corrected charges are from the total charge, the largest of the line, e."""
    systems = [placed(line, distance) for distance in np.geomspace(line.nearest, FAR[1], n_points)]
    found = potential.compute_systems([System(*system) for system in systems], gradients=False)["charges"]
    return float(max(abs(charges.sum() - charge) for charges, (_, _, charge) in zip(found, systems, strict=True)))


def jobs_of(preset: str, runs: Path = RUNS) -> list[Job]:
    """Every line and reach, with the long-range term and without; their data are built where they are missing."""
    chosen, jobs = PRESETS[preset], []
    for line in chosen.lines:
        for reach in line.reaches:
            path = data_file(line.system, reach, chosen.n_frames, runs)
            for variant in (LONG_RANGE, SHORT_RANGE):
                who = {"system": line.system, "reach": reach, "variant": variant}
                name = f"tails-{line.system}-{reach:g}-{'long' if variant == LONG_RANGE else 'short'}"
                jobs.append(Job(name, path, physnet(chosen.size, variant == LONG_RANGE), SPLIT | chosen.settings, 0, who))
    return jobs


SPLIT = {"split": {"kind": "random", "train": 0.85, "validation": 0.075}}


def reproduce(preset: str, results: Path = RESULTS, runs: Path = RUNS) -> Path:
    """Build the data, train, follow the lines, and write ``physnet-tails.<preset>.json``."""
    started, chosen = time.perf_counter(), PRESETS[preset]
    jobs = jobs_of(preset, runs)
    references = {line.system: reference_curve(line, chosen.n_points) for line in chosen.lines}  # before hours are spent
    found = train_all(jobs, preset, runs)
    rows, curves = [], []
    for line in chosen.lines:
        reference = references[line.system]
        of_label = {"system": line.system, "reach": None, "variant": "reference"}
        rows += [
            row("slope", "", slope(reference), None, **of_label),
            row("prefactor", "", prefactor(reference, reference, line.charges), None, **of_label),
        ]
        curves.append(_as_json(line, reference, reference, of_label))
        for run in found:
            if run.job.who["system"] == line.system:
                rows += _rows(run, line, reference, chosen.n_points)
                curves.append(_as_json(line, curve_of(run.potential(), line, chosen.n_points), reference, run.job.who))
    data = data_records(found)
    return write_result(
        "physnet-tails", preset, rows, started, results, seeds=[0], data=data, curves=curves, differs=differs(found),
        cutoff=found[0].potential().cutoff, settings=physnet(chosen.size, True) | chosen.settings,
    )  # fmt: skip


def differs(runs: Sequence[Trained]) -> str:
    """What is not as in the paper."""
    return (
        "Of the paper only the reaction's asymptotic regions are drawn (Figures 5 and 6), where the model without long range errs by about "
        f"{physnet_paper.TAIL_ERROR:g} kcal/mol, at DSD-BLYP-D3(BJ)/def2-TZVP; here GFN2-xTB, and HF/def2-SVPD for NaCl, whose charges "
        "stay on the ions far apart. Trained on frames within 8 or 16 angstrom (between any two atoms) and on the fragments alone; "
        f"{differs_in_training([run.job for run in runs])}."
    )


def _rows(run: Trained, line: Line, reference: Curve, n_points: int) -> list[Row]:
    potential, who = run.potential(), run.job.who
    rows = rows_of_runs([run], **who) + tail_rows(curve_of(potential, line, n_points), reference, line.charges, **who)
    if who["variant"] == LONG_RANGE:
        rows.append(row("largest_charge_error", "e", charge_error(potential, line, n_points), None, **who))
    return rows


def _as_json(line: Line, curve: Curve, reference: Curve, who: dict[str, Any]) -> dict[str, Any]:
    energies = numbers(curve.energies - reference.apart, 4)
    return {**who, "title": line.title, "distances": curve.distances.tolist(), "energies": energies}


def table(rows: Sequence[Row]) -> str:
    """A line a potential: its errors, and what it makes of the tail beside the reference."""
    value = {(entry["system"], entry["reach"], entry["variant"], entry["metric"]): entry["value"] for entry in rows}
    lines = []
    for system, reach, variant in dict.fromkeys(key[:3] for key in value):
        of_run = {metric: value.get((system, reach, variant, metric)) for metric in COLUMNS}
        lines.append([system, None if reach is None else f"{reach:g}", variant, *of_run.values()])
    return format_table(["system", "data within, Å", "variant", *COLUMNS.values()], lines)


COLUMNS = {
    "energy_mae": "test E, kcal/mol", "null_model_energy_mae": "null", "qm_gradients_mae": "test F, kcal/mol/Å",
    "null_model_qm_gradients_mae": "null", "slope": "slope, 10 to 40 Å", "prefactor": "prefactor",
    "tail_mae": "error there, kJ/mol",
    "tail_mae_from_its_own_limit": "from its own E(∞), kJ/mol", "largest_charge_error": "Σq̃ − Q, e",
}  # fmt: skip
"""Of the table, by metric."""


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop") -> None:
    """Train PhysNet on ions with its long-range term and without, and follow their energies to 40 angstrom."""
    run_reproduction(preset, reproduce, draw, table)


if __name__ == "__main__":
    app()
