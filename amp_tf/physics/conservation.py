"""Conservation: forces that are the gradient of an energy, and dynamics that keep the total energy."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from amp_tf.physics.bench import Bench, NotApplicable
from amp_tf.physics.molecules import bonds, of_collection
from amp_tf.physics.subject import MEV, Molecule, PointLost, atoms_of
from amp_tf.physics.verdicts import FAIL, INCONCLUSIVE, INFORMATION, NOISES, PASS, WARN, Row, judged, told

STEPS = (0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
"""Of central differences, angstrom; the one with the least error counts, since rounding spoils short ones, curvature long ones."""

JACOBIAN_STEPS, FINEST_STEP = (1e-2, 1e-3, 1e-4), 1e-5
"""The last where forces have double precision, whose kinks show at longer ones."""

DIRECTIONS = 12

SMALLEST_FORCE = 1e-9
"""eV/angstrom; less is none."""

RADIUS, LOOPS, POINTS, MOST_POINTS = 0.2, 3, 64, 512
"""Of closed paths: angstrom, how many, and geometries on each: more where the work is not zero with fewer."""

LOOP_LIMITS = (1e-4, 4e-3)

MD_TEMPERATURE, MD_STEPS = 600.0, (0.5, 0.25)
"""K at the start, half of it after equipartition; fs."""

MD_PICOSECONDS, MD_SECONDS = 10.0, 150.0
"""Length of a run; a slow calculator gets shorter ones, of so many seconds together, but for a third run, which takes a third more."""

FEWEST_STEPS = 40
"""Of a run that tells something of its total energy."""

WANDERS = 1.0 * MEV
"""Root mean square of the total energy an atom about its line, eV: more that does not fall with the time step is no integrator's."""

MD_LIMITS = (0.01, 0.1)
"""Drift, meV/atom/ps: a tenth heats by 390 K in a nanosecond."""


def momentum(bench: Bench) -> Iterator[Row]:
    """Σ F = 0 and Σ (r − R) × F = 0: necessary, not sufficient, since a model may subtract both from forces that are no gradient."""
    for molecule in bench.molecules():
        forces, centred = bench.subject.forces(molecule), molecule.positions - molecule.positions.mean(axis=0)
        scale, n = float(np.linalg.norm(forces, axis=1).sum()), len(forces)
        net, torque = np.linalg.norm(forces.sum(axis=0)), np.linalg.norm(np.cross(centred, forces).sum(axis=0))
        noise = bench.noise(molecule).forces * np.sqrt(n)
        arm = float(np.sqrt(np.mean(np.sum(centred**2, axis=1))))
        note = "necessary, not sufficient: a model may subtract it"
        limits = (max(1e-6 * scale / MEV, SMALLEST_FORCE / MEV), 1.0)
        yield judged("momentum", "net force", molecule.name, "meV/angstrom", net / MEV, limits, noise / MEV, note)
        yield judged("momentum", "net torque", molecule.name, "meV", torque / MEV, limits, noise * arm / MEV, note)


def _with_forces(bench: Bench) -> list[Molecule]:
    """Molecules of two atoms or more that feel forces, of which errors can be a part.

    Raises:
        NotApplicable: where none is left.
    """
    several = [molecule for molecule in bench.molecules() if len(molecule.numbers) > 1]
    found = [molecule for molecule in several if np.abs(bench.subject.forces(molecule)).max() > SMALLEST_FORCE]
    if not found:
        raise NotApplicable("no molecule of several atoms feels a force")
    return found


def gradient(bench: Bench) -> Iterator[Row]:
    """F = −∇E by central differences along random directions."""
    random = bench.random("gradient")
    for molecule in _with_forces(bench):
        forces, noise = bench.subject.forces(molecule), bench.noise(molecule)
        scale = float(np.sqrt(np.mean(forces**2)))
        directions = random.normal(size=(DIRECTIONS, *forces.shape))
        directions /= np.sqrt(np.mean(directions**2, axis=(1, 2), keepdims=True) * forces.size)
        errors = []
        for step in STEPS:
            ends = [[bench.subject.energy(molecule.at(molecule.positions + sign * step * way)) for sign in (1, -1)] for way in directions]
            slopes = np.array([(ahead - behind) / (2.0 * step) for ahead, behind in ends])
            errors.append(np.sqrt(np.mean((slopes + np.sum(forces * directions, axis=(1, 2))) ** 2)))
        best = int(np.argmin(errors))
        rounding = (noise.energy / (np.sqrt(2.0) * STEPS[best]) + noise.forces) / scale
        note = f"least with steps of {STEPS[best]:g} angstrom"
        yield judged("gradient", "F + ∇E, of rms F", molecule.name, "", errors[best] / scale, (1e-4, 1e-2), rounding, note)


def loop(bench: Bench) -> Iterator[Row]:
    """∮ F·dx = 0 on circles in random planes of configuration space; needs no energies, and bears single precision well."""
    random = bench.random("loop")
    for molecule in _with_forces(bench):
        noise, worst = bench.noise(molecule).forces, (-1.0, 0.0, 0)
        for _ in range(LOOPS):
            plane = np.linalg.qr(random.normal(size=(molecule.positions.size, 2)))[0].T.reshape(2, -1, 3)
            n_points = POINTS
            found, length = _work_around(bench, molecule, plane, n_points)
            while found > LOOP_LIMITS[0] and n_points < MOST_POINTS:  # too few points for forces that change fast
                n_points *= 2
                found, length = _work_around(bench, molecule, plane, n_points)
            worst = max(worst, (found, 2.0 * np.pi * noise * RADIUS / np.sqrt(n_points) / length, n_points))
        yield judged("loop", "|∮ F·dx| of ∮ |F||dx|", molecule.name, "", worst[0], LOOP_LIMITS, worst[1], f"{worst[2]} points")


def _work_around(bench: Bench, molecule: Molecule, plane: np.ndarray, n_points: int) -> tuple[float, float]:
    """|∮ F·dx| / ∮ |F||dx|, and the latter, of a circle in the plane of two unit vectors [2, n_atoms, 3]."""
    angles = 2.0 * np.pi * np.arange(n_points) / n_points
    cosines, sines = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    points, steps = RADIUS * (cosines * plane[0] + sines * plane[1]), RADIUS * (cosines * plane[1] - sines * plane[0])
    forces = np.array([bench.subject.forces(molecule.at(molecule.positions + point)) for point in points])
    work, length = np.sum(forces * steps), RADIUS * np.sum(np.linalg.norm(forces, axis=(1, 2)))
    return float(abs(work) / length), float(2.0 * np.pi * length / n_points)


def jacobian(bench: Bench) -> Iterator[Row]:
    """The derivatives of forces are symmetric, J = Jᵀ, as second derivatives of an energy."""
    is_double = not any("float32" in name for name in bench.subject.returned)
    known = _with_forces(bench)
    for molecule in [found for found in known if found.name == "methanol" or found.is_own] or known[:1]:
        positions, noise = molecule.positions, bench.noise(molecule).forces
        best = None
        for step in (*JACOBIAN_STEPS, *([FINEST_STEP] if is_double else [])):
            rows = []
            for shift in step * np.eye(positions.size).reshape(-1, *positions.shape):
                ahead, behind = (bench.subject.forces(molecule.at(positions + sign * shift)) for sign in (1, -1))
                rows.append(((ahead - behind) / (2.0 * step)).ravel())
            matrix = np.array(rows)
            size = np.linalg.norm(matrix)
            part = np.linalg.norm(matrix - matrix.T) / (2.0 * size), len(matrix) * noise / (2.0 * step * size), step
            best = part if best is None else min(best, part)
        note = f"least with steps of {best[2]:g} angstrom"
        yield judged("jacobian", "|J - Jᵀ| / 2|J|", molecule.name, "", best[0], (1e-3, 4e-3), best[1], note)


def nve(bench: Bench) -> Iterator[Row]:
    """Velocity Verlet at two time steps, and at a third where the drift of the second does not pass.

    What is gone then was the integrator's, whose error moves with the energy of fast vibrations, and not the model's.
    """
    bench.require_alone()
    own = [molecule for molecule in bench.known(bench.own, in_domain=True) if len(molecule.numbers) > 1]
    probes = [of_collection("CH3OH", "methanol"), of_collection("H2O", "water")]
    for molecule in own or bench.some(probes, in_domain=True)[:1]:
        relaxed = _relaxed(bench, molecule)
        if bench.subject.own is not None and (complaint := bench.subject.outside(relaxed)):
            yield Row("nve", "where it is relaxed", molecule.name, verdict=WARN, note=f"outside the training data: {complaint}")
            relaxed = molecule
        seconds = []
        for _ in range(3):
            before = bench.subject.seconds
            bench.subject.both(relaxed)
            seconds.append(bench.subject.seconds - before)
        per_call = float(np.median(seconds)) * max(1, len(own))
        n_calls = sum(1e3 * MD_PICOSECONDS / step for step in MD_STEPS)
        length = MD_PICOSECONDS * min(1.0, MD_SECONDS / (per_call * n_calls))
        runs = [_run(bench, relaxed, step, length) for step in MD_STEPS]
        for step, run in zip(MD_STEPS, runs, strict=True):
            yield from _told(molecule, step, run)
        rms_1, rms, slope, broke = runs[0].rms, runs[1].rms, runs[1].slope, runs[1].broke
        if np.isnan(slope + rms_1):
            continue
        wanders = rms > WANDERS and rms > 0.5 * rms_1
        note = f"{rms_1 / MEV:.2g} with twice the step; an integrator's falls fourfold"
        yield Row("nve", "rms of the total energy", molecule.name, "meV/atom", rms / MEV, verdict=FAIL if wanders else PASS, note=note)
        row = _drift(molecule, MD_STEPS[1], runs[1])
        if row.verdict in (WARN, FAIL) and not broke and not wanders:
            finer = 0.5 * MD_STEPS[1]
            run = _run(bench, relaxed, finer, length)
            yield from _told(molecule, finer, run)
            if np.isnan(run.slope):
                yield row
                continue
            last = _drift(molecule, finer, run)
            if abs(run.slope) < 0.5 * abs(slope):
                row = replace(row, verdict=INFORMATION, note=f"{row.note}; it falls with the time step, and is the integrator's")
                if last.verdict in (WARN, FAIL):
                    last = replace(last, verdict=INCONCLUSIVE, note=f"{last.note}; it still falls with the time step")
            elif last.verdict == PASS:  # within a wide error
                last = replace(last, verdict=INFORMATION)
            yield row
            row = last
        yield row


class Outcome(NamedTuple):
    """Of a run: slope of the total energy an atom, eV/ps, its error, the rms about the line, eV, no numbers where it was too short to tell;
    whether a bond broke; its length, ps; and why it ended early, where the only molecule of a potential left its training data."""

    slope: float
    error: float
    rms: float
    broke: bool
    length: float
    left: str = ""


def _told(molecule: Molecule, step: float, run: Outcome) -> Iterator[Row]:
    """What :func:`_run` found."""
    if run.left:
        note = f"after {run.length:.3g} ps: {run.left}"
        yield Row("nve", f"it left its training data at {step:g} fs", molecule.name, verdict=WARN, note=note)
    if np.isfinite(run.slope):
        note = f"± {run.error / MEV:.2g}, rms {run.rms / MEV:.2g}"
        yield told("nve", f"drift at {step:g} fs", molecule.name, "meV/atom/ps", run.slope / MEV, note)
    if run.broke:
        yield Row("nve", f"a bond broke at {step:g} fs", molecule.name, verdict=FAIL, note=f"within {run.length:.3g} ps")


def _drift(molecule: Molecule, step: float, run: Outcome) -> Row:
    """The verdict on the slope of a run, eV/ps, by its error."""
    metric, slope, error = f"drift at {step:g} fs", abs(run.slope), run.error
    row = judged("nve", metric, molecule.name, "meV/atom/ps", slope / MEV, MD_LIMITS, 0.4 * error / MEV)
    if row.verdict != PASS and slope < NOISES * 0.4 * error:
        return replace(row, verdict=INCONCLUSIVE, note=f"{run.length:.3g} ps, too short: ± {error / MEV:.2g}")
    return replace(row, note=f"{run.length:.3g} ps")


def _relaxed(bench: Bench, molecule: Molecule) -> Molecule:
    """At a minimum of the calculator's own energy."""
    atoms = _atoms(bench, molecule)
    BFGS(atoms, logfile=None).run(fmax=0.02, steps=200)
    if not np.array_equal(bonds(molecule.at(atoms.positions)), bonds(molecule)):
        raise NotApplicable(f"{molecule.name} falls apart, or into another molecule, where it is relaxed")
    return molecule.at(atoms.positions)


def _atoms(bench: Bench, molecule: Molecule) -> Atoms:
    atoms = atoms_of(molecule)
    atoms.calc = bench.subject.as_calculator()
    return atoms


def _run(bench: Bench, molecule: Molecule, step: float, picoseconds: float) -> Outcome:
    """Velocity Verlet from a geometry."""
    atoms, start, left = _atoms(bench, molecule), bonds(molecule), ""
    masses = atoms.get_masses()[:, None]
    momenta = np.sqrt(masses * units.kB * MD_TEMPERATURE) * bench.random("nve").normal(size=atoms.positions.shape)
    atoms.set_momenta(momenta - masses * momenta.sum(axis=0) / masses.sum())
    dynamics, energies = VelocityVerlet(atoms, step * units.fs), []
    n_steps = max(FEWEST_STEPS, round(1e3 * picoseconds / step))
    ends = np.argwhere(np.triu(start))
    before = np.linalg.norm(molecule.positions[ends[:, 0]] - molecule.positions[ends[:, 1]], axis=1)

    def is_broken() -> bool:
        lengths = np.linalg.norm(atoms.positions[ends[:, 0]] - atoms.positions[ends[:, 1]], axis=1)
        return bool(np.any(~(lengths <= 1.5 * before)))

    for _ in range(n_steps):
        try:
            dynamics.run(1)
        except PointLost:
            if is_broken() and len(energies) > FEWEST_STEPS:  # it exploded
                break
            raise
        energies.append(atoms.get_total_energy() / len(atoms))
        if bench.subject.own is not None and (left := bench.subject.outside(molecule.at(atoms.positions)) or ""):
            break
    broke, n_steps = is_broken(), len(energies)
    length = 1e-3 * step * n_steps
    if n_steps < FEWEST_STEPS:
        return Outcome(np.nan, np.nan, np.nan, broke, length, left)
    times, values = 1e-3 * step * np.arange(n_steps), np.array(energies)
    bench.curve(
        "nve",
        f"{molecule.name}, {step:g} fs",
        "time",
        "ps",
        times[:: max(1, n_steps // 200)],
        len(atoms) * (values - values[0])[:: max(1, n_steps // 200)],
        molecule,
    )
    slope, offset = np.polyfit(times, values, 1)
    rest = values - slope * times - offset
    blocks = [part.mean() for part in np.array_split(rest, 10)]
    error = np.std(blocks, ddof=1) * np.sqrt(12.0 / len(blocks)) / (times[-1] + times[1])
    return Outcome(float(slope), float(error), float(rest.std()), broke, length, left)
