"""Symmetries of the energy: shifts, turns, mirror images and the order of like atoms change nothing but the directions of forces."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from amp_tf.physics.bench import Bench
from amp_tf.physics.molecules import cyclobutadiene, of_collection, water
from amp_tf.physics.subject import MEV, Molecule
from amp_tf.physics.verdicts import Row, told

ENERGY_LIMITS, FORCE_LIMITS = (1e-3, 0.26), (0.01, 1.0)
"""meV: a quarter of one is a hundredth of kT at 300 K. meV/angstrom: one is a tenth of the error of a good model's forces."""

SHIFTS, FAR_SHIFT = (1.0, 10.0, 40.0, 100.0), 1000.0
"""Angstrom; the last for information."""

TURNS, ORDERS, MOST_SWAPS = 64, 16, 40
"""Random rotations, random orders, and pairs of like atoms that are swapped, of a molecule."""


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
        yield from _turned(bench, "rotation", molecule, matrices)
    if bench.is_thorough:
        for molecule in bench.known([water(104.5), cyclobutadiene(1.56, 1.335)]):
            degrees = np.arange(0.0, 361.0, 10.0)
            for axis in "xyz":
                turns = Rotation.from_euler(axis, degrees[:, None], degrees=True).as_matrix()
                energies = bench.subject.curve([molecule.at(_centred(molecule) @ turn.T) for turn in turns])
                bench.curve("rotation", f"{molecule.name}, about {axis}", "angle", "degree", degrees, energies - energies[0])
                yield bench.small_energy("rotation", f"energy about {axis}", molecule, float(np.ptp(energies)), ENERGY_LIMITS)


def mirror(bench: Bench) -> Iterator[Row]:
    """The mirror image of a molecule has its energy; the forces on a planar one lie in its plane."""
    for molecule in bench.molecules():
        matrices = -Rotation.random(TURNS, random_state=bench.seed("mirror")).as_matrix()
        yield from _turned(bench, "mirror", molecule, matrices)
    for molecule in bench.known([of_collection("C2H4", "ethylene"), cyclobutadiene(1.56, 1.335)]):
        planar = _centred(molecule)
        normal = np.linalg.svd(planar)[2][2]
        # among the axes no direction is special, so that what holds by chance for zeros does not
        turn = Rotation.random(random_state=bench.seed("mirror")).as_matrix()
        forces = bench.subject.forces(molecule.at(planar @ turn.T))
        yield bench.small_force("mirror", "force out of the plane", molecule, float(np.abs(forces @ turn @ normal).max()), FORCE_LIMITS)


def _turned(bench: Bench, test: str, molecule: Molecule, matrices: np.ndarray) -> Iterator[Row]:
    """Energies and forces of images about the middle."""
    centred = _centred(molecule)
    energy, forces = bench.subject.both(molecule.at(centred))
    found = [bench.subject.both(molecule.at(centred @ matrix.T)) for matrix in matrices]
    energies = np.array([energy, *(image for image, _ in found)])
    of_forces = max(np.abs(image - forces @ matrix.T).max() for (_, image), matrix in zip(found, matrices, strict=True))
    yield bench.small_energy(test, "energy, highest - lowest", molecule, float(np.ptp(energies)), ENERGY_LIMITS)
    if test == "mirror":
        half = len(found)
        difference = abs(np.mean(energies[1 : half + 1]) - energy)
        yield bench.small_energy(test, "energy, image - itself", molecule, float(difference), ENERGY_LIMITS)
    yield bench.small_force(test, "forces", molecule, float(of_forces), FORCE_LIMITS)


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
