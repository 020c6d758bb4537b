"""Time, memory and error of retinoic acid among 10^4 to 10^6 charges, AMP(3)-DP with near and far charges. ``make benchmark``.

Energy, all gradients and potentials at the charges, NumPy to NumPy, with the field of particles far from all atoms expanded about centers
and summed directly. With FMM3D (``pip install 'amp_tf[fmm]'``) also the time in which it computes the potential and the field of the
charges at the atoms, and of the atoms at the charges: what an implementation on top of it would need at least.
"""

import time
from typing import Annotated
from unittest import mock

import keras
import numpy as np
import typer
from scipy.spatial import cKDTree

import amp_tf
from amp_tf.command import tell_error
from amp_tf.errors import AmpTFError, EngineError
from amp_tf.models import computing
from amp_tf.simulation.solutes import Solute, solute_by_name
from amp_tf.simulation.water_box import WATER_CHARGES
from amp_tf.systems import System
from benchmarks.step_time import RESULTS
from common.made_up_systems import CONTACT, DENSITY, NEAR_CUTOFF
from common.results import Row, format_table, row, write_result
from common.solute_model import MODEL
from common.timing import largest_memory, median_time

NUMBERS_OF_PARTICLES = (10_000, 100_000, 1_000_000)
FMM_PRECISION = 1e-5
COMPARED = ("qm_gradients", "mm_gradients", "mm_potentials")


def in_water(solute: Solute, n_mm: int, random: np.random.Generator) -> System:
    """The solute among the ``n_mm`` // 3 closest of water molecules at random places; their O-H bonds point anywhere."""
    center = solute.positions.mean(axis=0)
    edge = 2.0 * np.linalg.norm(solute.positions - center, axis=1).max() + (2.0 * n_mm / DENSITY) ** (1.0 / 3.0) + 6.0
    oxygens = center + random.uniform(-0.5 * edge, 0.5 * edge, size=(round(DENSITY * edge**3 / 3.0), 3))
    hydrogens = oxygens[:, None] + _directions(random, 2 * len(oxygens)).reshape(-1, 2, 3)
    molecules = np.concatenate([oxygens[:, None], hydrogens], axis=1)
    distances = cKDTree(solute.positions).query(molecules.reshape(-1, 3))[0].reshape(-1, 3).min(axis=1)
    order = np.argsort(distances)
    chosen = molecules[order[distances[order] > CONTACT][: n_mm // 3]]
    charges = np.tile(WATER_CHARGES, len(chosen))
    return System(solute.atomic_numbers, solute.positions, solute.charge, chosen.reshape(-1, 3), charges)


def _directions(random: np.random.Generator, n: int) -> np.ndarray:
    vectors = random.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measure(solute: Solute, n_mm: int, fmm: bool) -> list[Row]:
    """Rows of one number of particles."""
    system = in_water(solute, n_mm, np.random.default_rng(n_mm))
    keras.utils.set_random_seed(0)
    arguments = {key: value for key, value in MODEL.items() if key != "type"}
    potential = amp_tf.AMP(("H", "C", "N", "O"), near_cutoff=NEAR_CUTOFF, **arguments)
    results, rows = {}, []
    for work, threshold in (("expanded", 0), ("direct", 10**12)):

        def compute(work=work):
            results[work] = potential.compute_systems([system], mm_potentials=True)

        with mock.patch.object(computing, "EXPANDED", threshold):
            seconds = median_time(compute)
        who = {"mm_particles": len(system.mm_charges), "work": work}
        rows += [row("time", "s", seconds, **who), row("time_per_charge", "µs", 1e6 * seconds / len(system.mm_charges), **who)]
        rows.append(row("memory", "GB", largest_memory(), **who))
    for name in COMPARED:
        found, expected = results["expanded"][name][0], results["direct"][name][0]
        error = float(np.abs(found - expected).max() / np.abs(expected).max())
        rows.append(row(f"{name}_error", "", error, mm_particles=len(system.mm_charges), work="expanded"))
    if fmm:
        seconds = median_time(lambda: _with_fmm(system))
        rows.append(row("time", "s", seconds, mm_particles=len(system.mm_charges), work=f"FMM3D, {FMM_PRECISION:g}"))
    return rows


def _with_fmm(system: System) -> None:
    """Potential, field and field gradient of the charges at the atoms; potential and field of charges and dipoles there at the charges."""
    import fmm3dpy

    atoms, particles = np.asfortranarray(system.positions.T), np.asfortranarray(system.mm_positions.T)
    fmm3dpy.lfmm3d(eps=FMM_PRECISION, sources=particles, charges=system.mm_charges, targets=atoms, pgt=3)
    moments = {"charges": np.ones(len(system.positions)), "dipvec": np.ones((3, len(system.positions)))}
    fmm3dpy.lfmm3d(eps=FMM_PRECISION, sources=atoms, targets=particles, pgt=2, **moments)


def table(rows: list[Row]) -> str:
    """One line a number of particles and way of summing."""
    lines: dict[tuple, dict[str, float]] = {}
    for entry in rows:
        lines.setdefault((entry["mm_particles"], entry["work"]), {})[entry["metric"]] = entry["value"]
    names = {"time": "time, s", "time_per_charge": "µs a charge", "memory": "memory, GB"}
    names |= {f"{name}_error": f"largest error / largest of {name}" for name in COMPARED}
    cells = [[*key, *(values.get(name) for name in names)] for key, values in lines.items()]
    return format_table(["charges", "far charges", *names.values()], cells)


def main(
    particles: Annotated[
        list[int] | None, typer.Option(help="Numbers of charges instead of 10 000 to 1 000 000; writes no result.")
    ] = None,
    fmm: Annotated[bool, typer.Option("--fmm", help="Also time FMM3D.")] = False,
) -> None:
    """Print the table and write it to ``benchmarks/results``."""
    try:
        if fmm:
            _require_fmm()
        solute = solute_by_name("retinoic-acid")
    except AmpTFError as error:
        tell_error(error)
        raise typer.Exit(1) from error
    started = time.perf_counter()
    rows = [entry for n_mm in particles or NUMBERS_OF_PARTICLES for entry in measure(solute, n_mm, fmm)]
    print("\nretinoic acid among charges of water, AMP(3)-DP: energy, QM and MM gradients; memory is the largest of the process so far\n")
    print(table(rows))
    if not particles:
        print(f"wrote {write_result('far_charges', 'float32', rows, started, RESULTS, seeds=None, data=None)}")


def _require_fmm() -> None:
    try:
        import fmm3dpy  # noqa: F401
    except ImportError as error:
        raise EngineError("--fmm needs FMM3D; install it with: pip install 'amp_tf[fmm]'") from error


if __name__ == "__main__":
    typer.run(main)
