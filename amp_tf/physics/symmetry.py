"""Symmetries of the energy: shifts, turns, mirror images and the order of like atoms change nothing but the directions of forces."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from amp_tf.physics.bench import Bench, NotApplicable
from amp_tf.physics.molecules import cyclobutadiene, heavy_bonds, of_collection, shipped, together, turned, water
from amp_tf.physics.subject import MEV, Molecule
from amp_tf.physics.verdicts import Row, told

ENERGY_LIMITS, FORCE_LIMITS = (1e-3, 0.26), (0.01, 1.0)
"""meV: a quarter of one is a hundredth of kT at 300 K. meV/angstrom: one is a tenth of the error of a good model's forces."""

SHIFTS, FAR_SHIFT = (1.0, 10.0, 40.0, 100.0), 1000.0
"""Angstrom; the last for information."""

TURNS, ORDERS, MOST_SWAPS = 64, 16, 40
"""Random rotations, random orders, and pairs of like atoms that are swapped, of a molecule."""

HANDED, RATTLES, TWIST = 24, (0.03, 0.06, 0.1), 35.0
"""Geometries of a molecule that are held against their mirror images, standard deviations of their coordinates beside the molecule's,
angstrom, and the angle of the biaryls, degrees."""


def translation(bench: Bench) -> Iterator[Row]:
    """E(r + t) = E(r), along a direction that is no axis."""
    direction = np.array([1.0, np.sqrt(2.0), np.sqrt(3.0)]) / np.sqrt(6.0)
    for molecule in bench.molecules():
        energy, forces = bench.subject.both(molecule)
        found = [bench.subject.both(molecule.at(molecule.positions + shift * direction)) for shift in (*SHIFTS, FAR_SHIFT)]
        energies = np.array([shifted for shifted, _ in found]) - energy
        of_forces = [np.abs(shifted - forces).max() for _, shifted in found]
        yield bench.small_energy("translation", "energy", molecule, np.abs(energies[:-1]).max(), ENERGY_LIMITS)
        yield bench.small_force("translation", "forces", molecule, max(of_forces[:-1]), FORCE_LIMITS)
        far = f"energy, {FAR_SHIFT:g} angstrom away"
        yield told("translation", far, molecule.name, "meV", abs(energies[-1]) / MEV)


def rotation(bench: Bench) -> Iterator[Row]:
    """E(Qr) = E(r) and F(Qr) = Q F(r) for random proper rotations."""
    for molecule in bench.molecules():
        matrices = Rotation.random(TURNS, random_state=bench.seed("rotation")).as_matrix()
        yield from _turned(bench, molecule, matrices)
    if bench.is_thorough:
        for molecule in bench.known([water(104.5), cyclobutadiene(1.56, 1.335)]):
            degrees = np.arange(0.0, 361.0, 10.0)
            for axis in "xyz":
                turns = Rotation.from_euler(axis, degrees[:, None], degrees=True).as_matrix()
                energies = bench.subject.curve([molecule.at(_centred(molecule) @ turn.T) for turn in turns])
                name = f"{molecule.name}, about {axis}"
                bench.curve("rotation", name, "angle", "degree", degrees, energies - np.nanmin(energies), molecule)
                lost = int(np.count_nonzero(~np.isfinite(energies)))
                spread = float(np.nanmax(energies) - np.nanmin(energies))
                note = f"{lost} of {len(energies)} lost" if lost else ""
                yield bench.small_energy("rotation", f"energy about {axis}", molecule, spread, ENERGY_LIMITS, note)


def mirror(bench: Bench) -> Iterator[Row]:
    """The mirror image of a molecule has its energy and its forces, mirrored; the forces on a planar one lie in its plane.

    Of many geometries, since left and right may be even by chance in one. Three atoms are their own mirror image.
    """
    chiral = [molecule for molecule in bench.known(bench.molecules()) if len(molecule.numbers) > 3]
    if not chiral:
        other = water(100.0)
        chiral = bench.known([together(water(104.5), other.at(other.positions + [0.9, 2.9, 0.6]), name="two waters")])
    for molecule in chiral:
        random = bench.random(f"mirror {molecule.name}")
        pairs = []
        for number in range(HANDED):
            moved = bench.moved(molecule, random.normal(scale=RATTLES[number % len(RATTLES)], size=molecule.positions.shape))
            pairs.append(moved.at(_centred(moved)))
        yield from _beside_their_images(bench, molecule, pairs)
    for molecule in bench.known([shipped("biphenyl"), shipped("2-phenylpyridine")], in_domain=True):
        ((first, second),) = heavy_bonds(molecule, inner=True)
        twisted = turned(molecule, first, second, TWIST)
        yield from _beside_their_images(bench, molecule, [twisted.at(_centred(twisted))])
    planar = bench.known([of_collection("C2H4", "ethylene"), cyclobutadiene(1.56, 1.335)])
    for molecule in planar:
        flat = _centred(molecule)
        normal = np.linalg.svd(flat)[2][2]
        # among the axes no direction is special, so that what holds by chance for zeros does not
        turn = Rotation.random(random_state=bench.seed("mirror")).as_matrix()
        forces = bench.subject.forces(molecule.at(flat @ turn.T))
        yield bench.small_force("mirror", "force out of the plane", molecule, float(np.abs(forces @ turn @ normal).max()), FORCE_LIMITS)
    if not chiral and not planar:
        raise NotApplicable("molecules of three atoms are their own mirror images")


def _beside_their_images(bench: Bench, molecule: Molecule, geometries: list[Molecule]) -> Iterator[Row]:
    """The largest differences of geometries and their mirror images, each turned at random, beside the noise where they are."""
    matrices = -Rotation.random(len(geometries), random_state=bench.seed("mirror")).as_matrix()
    energies, of_forces = [], []
    for geometry, matrix in zip(geometries, matrices, strict=True):
        energy, forces = bench.subject.both(geometry)
        of_image, forces_of_image = bench.subject.both(geometry.at(geometry.positions @ matrix.T))
        energies.append(abs(of_image - energy))
        of_forces.append(np.abs(forces_of_image - forces @ matrix.T).max())
    note = f"of {len(geometries)} geometries" if len(geometries) > 1 else f"twisted by {TWIST:g} degrees"
    of_energy, of_force = (geometries[int(np.argmax(errors))] for errors in (energies, of_forces))
    yield bench.small_energy("mirror", "energy, image - itself", molecule, float(max(energies)), ENERGY_LIMITS, note, of_energy)
    yield bench.small_force("mirror", "forces", molecule, float(max(of_forces)), FORCE_LIMITS, note, of_force)


def _turned(bench: Bench, molecule: Molecule, matrices: np.ndarray) -> Iterator[Row]:
    """Energies and forces where it is turned about its middle."""
    centred = _centred(molecule)
    energy, forces = bench.subject.both(molecule.at(centred))
    found = [bench.subject.both(molecule.at(centred @ matrix.T)) for matrix in matrices]
    energies = np.array([energy, *(image for image, _ in found)])
    of_forces = max(np.abs(image - forces @ matrix.T).max() for (_, image), matrix in zip(found, matrices, strict=True))
    yield bench.small_energy("rotation", "energy, highest - lowest", molecule, float(np.ptp(energies)), ENERGY_LIMITS)
    yield bench.small_force("rotation", "forces", molecule, float(of_forces), FORCE_LIMITS)


def permutation(bench: Bench) -> Iterator[Row]:
    """The order in which like atoms are listed changes nothing."""
    random = bench.random("permutation")
    for molecule in bench.molecules():
        numbers, energy, forces = molecule.numbers, *bench.subject.both(molecule)
        orders = [random.permutation(len(numbers)) for _ in range(ORDERS)]
        alike = [(i, j) for i in range(len(numbers)) for j in range(i) if numbers[i] == numbers[j]]
        for pair in random.permutation(len(alike))[:MOST_SWAPS]:
            order = np.arange(len(numbers))
            order[list(alike[pair])] = alike[pair][::-1]
            orders.append(order)
        differences, of_forces = [], []
        for order in orders:
            listed = Molecule(molecule.name, numbers[order], molecule.positions[order], molecule.charge, molecule.spin)
            energy_of_it, forces_of_it = bench.subject.both(listed)
            differences.append(abs(energy_of_it - energy))
            of_forces.append(np.abs(forces_of_it - forces[order]).max())
        yield bench.small_energy("permutation", "energy", molecule, max(differences), ENERGY_LIMITS)
        yield bench.small_force("permutation", "forces", molecule, max(of_forces), FORCE_LIMITS)


def _centred(molecule: Molecule) -> np.ndarray:
    return molecule.positions - molecule.positions.mean(axis=0)
