"""Arrangements that some descriptors confuse and the total charge, told without a verdict; charges around a molecule, with one."""

from collections.abc import Iterator

import numpy as np

from amp_tf.physics.bench import Bench, NotApplicable
from amp_tf.physics.subject import MEV, Molecule
from amp_tf.physics.symmetry import ENERGY_LIMITS
from amp_tf.physics.verdicts import WARN, Row, judged, told

ANGLES = ((0.0, 45.0, 135.0, 180.0), (0.0, 45.0, 90.0, 225.0))
"""Of four hydrogens in a plane around a carbon, degrees: both have the same angles between pairs of bonds."""

LENGTHS = (1.09, 1.5, 2.5)


def homometric(bench: Bench) -> Iterator[Row]:
    """Two planar CH4 that have the same distances and angles about the carbon, and are different molecules."""
    for length in LENGTHS:
        pair = []
        for name, angles in zip("ab", ANGLES, strict=True):
            radians = np.radians(angles)
            hydrogens = length * np.stack([np.cos(radians), np.sin(radians), np.zeros(4)], axis=1)
            pair.append(Molecule(f"planar CH4 {name}", np.array([6, 1, 1, 1, 1]), np.concatenate([np.zeros((1, 3)), hydrogens])))
        first, second = (bench.subject.energy(molecule) for molecule in bench.every(pair))
        yield told("homometric", f"difference at C-H {length:g} angstrom", "planar CH4", "eV", first - second)


def charge(bench: Bench) -> Iterator[Row]:
    """Whether the total charge counts, and whether a result of another charge is given by mistake."""
    molecule = bench.molecules()[0]
    changed = Molecule(molecule.name, molecule.numbers, molecule.positions, molecule.charge + 1, 1 + molecule.spin % 2)
    if not bench.known([Molecule(f"{molecule.name}, charge {changed.charge:+d}", *_rest(changed))]):
        raise NotApplicable("it computes no other total charge")
    before, charged = bench.subject.energy(molecule), bench.subject.energy(changed)
    moved = bench.subject.energy(changed.at(changed.positions + 1e-9))  # which no cache has seen
    is_seen = abs(moved - before) > max(1e-6, 5.0 * bench.noise(molecule).energy)
    yield told("charge", "E(Q + 1) - E(Q)", molecule.name, "eV", moved - before, "" if is_seen else "the charge is not seen")
    if not is_seen:
        for ion in (ion for ion in bench.own if ion.charge):
            note = f"it is computed as if its charge were not {ion.charge:+d} e"
            yield Row("charge", "total charge", ion.name, verdict=WARN, note=note)
        return
    stale = max(abs(moved - charged), abs(moved - bench.subject.energy_after(molecule, changed)))
    yield bench.small_energy("charge", "E(Q + 1) after E(Q) - computed alone", molecule, stale, ENERGY_LIMITS)


def _rest(molecule: Molecule) -> tuple:
    return molecule.numbers, molecule.positions, molecule.charge, molecule.spin


def embedding(bench: Bench) -> Iterator[Row]:
    """Among charges: forces on atoms and charges sum to zero and are the gradient of the energy; particles of no charge change nothing."""
    if bench.subject.embed is None:
        raise NotApplicable("it embeds no molecule in charges")
    random = bench.random("embedding")
    for molecule in bench.molecules(in_domain=True)[:1]:
        directions = random.normal(size=(6, 3))
        reach = np.abs(molecule.positions - molecule.positions.mean(axis=0)).max() + 5.0
        places = molecule.positions.mean(axis=0) + reach * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        charges = np.array([0.4, -0.4] * 3)
        _, forces, on_charges = bench.subject.embed(molecule, places, charges)
        net = np.linalg.norm(forces.sum(axis=0) + on_charges.sum(axis=0))
        limits = (1e-5 * float(np.abs(forces).sum()) / MEV, 1.0)
        noise = bench.noise(molecule)
        faded = bench.subject.embed(molecule, places, np.zeros(len(charges)))[0] - bench.subject.energy(molecule)
        yield bench.small_energy("embedding", "E(charges of 0) - E(alone)", molecule, abs(faded), ENERGY_LIMITS)
        yield judged("embedding", "net force, charges included", molecule.name, "meV/angstrom", net / MEV, limits, noise.forces / MEV)
        errors = []
        for step in (1e-1, 1e-2, 1e-3):
            way = random.normal(size=places.shape)
            way /= np.linalg.norm(way)
            ahead, behind = (bench.subject.embed(molecule, places + sign * step * way, charges)[0] for sign in (1, -1))
            errors.append((abs((ahead - behind) / (2.0 * step) + np.sum(on_charges * way)), noise.energy / step))
        error, rounding = min(errors)
        limits = (1e-3 * float(np.abs(on_charges).max()) / MEV + 0.01, 1.0)
        yield judged("embedding", "F + ∇E on the charges", molecule.name, "meV/angstrom", error / MEV, limits, rounding / MEV)
