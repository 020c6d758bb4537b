"""COSAN, [Co(C2B9H11)2]-, one of whose ligands turns about the axis through the cobalt."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from amp_tf.physics.bench import Bench
from amp_tf.physics.molecules import shipped
from amp_tf.physics.scans import extrema
from amp_tf.physics.subject import Molecule
from amp_tf.physics.symmetry import ENERGY_LIMITS
from amp_tf.physics.verdicts import Row, decided

TURNS = np.arange(0.0, 360.0, 6.0)
WELLS = (36.0, 108.0, 180.0, 252.0, 324.0)
"""Degrees between the middles of the C2 of both ligands."""


def cosan(bench: Bench) -> Iterator[Row]:
    """Wells at 36, 108 and 180 degrees and their mirror images, the one at 180 lowest."""
    (molecule,) = bench.some([shipped("cosan")], in_domain=True)
    energies = bench.subject.curve([turned_ligand(molecule, degrees) for degrees in TURNS])
    bench.curve("cosan", "COSAN", "angle of the ligands", "degree", TURNS, energies - np.nanmin(energies), molecule)
    uneven = float(np.nanmax(np.abs(energies[1:] - energies[1:][::-1])))
    yield bench.small_energy("cosan", "E(φ) - E(-φ)", molecule, uneven, ENERGY_LIMITS)
    minima = TURNS[extrema(energies, 5e-3, is_closed=True)[0]]
    are_there = len(minima) == len(WELLS) and all(abs(found - well) <= 12.0 for found, well in zip(minima, WELLS, strict=True))
    lowest = float(TURNS[np.nanargmin(energies)])
    at = ", ".join(f"{place:.0f}" for place in minima) or "none"
    is_right = are_there and abs(lowest - 180.0) <= 12.0
    yield decided("cosan", "shape: wells, 180 lowest", molecule.name, is_right, f"at {at} degrees", lowest, "degree")


def turned_ligand(molecule: Molecule, degrees: float) -> Molecule:
    """The second ligand at an angle to the first, both rigid; the file has cobalt, then one ligand, then the other, both with C2 first."""
    cobalt, positions = molecule.positions[0], molecule.positions - molecule.positions[0]
    half = (len(positions) - 1) // 2
    first, second = np.arange(1, 1 + half), np.arange(1 + half, 1 + 2 * half)
    axis = positions[second].mean(axis=0) - positions[first].mean(axis=0)
    axis /= np.linalg.norm(axis)
    middles = [positions[part[:2]].mean(axis=0) for part in (first, second)]
    flat = [middle - axis * (middle @ axis) for middle in middles]
    now = np.degrees(np.arctan2(axis @ np.cross(flat[0], flat[1]), flat[0] @ flat[1]))
    turned = positions.copy()
    turned[second] = Rotation.from_rotvec(np.radians(degrees - now) * axis).apply(positions[second])
    return molecule.at(turned + cobalt)
