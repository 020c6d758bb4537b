"""Whether positions, charges, energies and gradients are in the units, and of the signs, that they are said to be in."""

import warnings

import numpy as np
from ase.data import atomic_numbers
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist, pdist, squareform

from amp_tf import units
from amp_tf.data.electrons import unpaired
from amp_tf.data.point_charges import charges_complaint
from amp_tf.data.reference_data import FrameGroup, ReferenceData
from amp_tf.data.source_units import ENERGY_UNITS
from amp_tf.errors import InputError
from amp_tf.geometry import geometry_complaint

THERMAL_DISPLACEMENT = 0.05
"""By how much atoms of a molecule at room temperature deviate from rest, angstrom."""

IMPLAUSIBLE_FACTOR, IMPLAUSIBLE_FACTOR_ALONE = 50.0, 500.0
"""Energies that vary this much less or more than gradients let expect, or, without gradients, thermal motion, are in another unit."""

THERMAL_GRADIENT = 100.0
"""Root mean square of a component of the gradients of molecules at room temperature, kJ/mol/angstrom (ethanol, aspirin and uracil of rMD17,
at 500 K: 115 to 132)."""

PLAUSIBLE_GRADIENTS = THERMAL_GRADIENT / 25.0, THERMAL_GRADIENT * 10.0
"""Beyond these gradients are in another unit: the next one up, hartree/bohr for eV/angstrom, is larger by 51."""

HYDROGEN_DISTANCES = 0.6, 1.75
"""From a hydrogen atom to the atom next to it, angstrom: 0.74 in H2, 0.96 in water, 1.09 in methane, 1.61 in HI. In bohr water has 1.81."""

UNBALANCED, UNBALANCED_GRADIENT = 0.4, 5.0
"""Σ QM + Σ MM gradients of a frame, in root mean square, beyond this part of the larger sum and beyond so many kJ/mol/angstrom, which
grids of density functionals leave: moving everything together must not cost energy."""

OPPOSITE = -3.5
"""Fisher's z of the correlation of energy differences with what gradients let expect, below which gradients are forces: by chance once in
some four thousand groups of frames, if nothing is known of the signs, and never where they are right."""

FRAMES = 200
"""How many frames of a group are looked at, spread over it."""

LOOKED_AT = 20
"""Of how many of these the geometry is looked at in full."""


def check_plausible(data: ReferenceData) -> None:
    """Compare positions, gradients, and how much the energies vary, with what is usual of molecules at room temperature.

    A molecule of N atoms whose gradient components have the root mean square g is away from its minimum by some 0.05 angstrom in each of
    3N coordinates, so its energy varies by some 0.05 g sqrt(3N). Units that are wrong by a factor (hartree, eV; kcal/mol is too near) miss
    that by far. Where both are in the same wrong unit, g is far from 100 kJ/mol/angstrom. Without gradients g is taken to be that, and only
    hartree are noticed. Gradients of QM and MM atoms sum to zero, unless one of the two is in another unit or is a force. Hydrogen atoms
    are within 1.75 angstrom of another atom, unless positions are in bohr. Between near frames energies rise where their gradients say so,
    unless these are forces. MM charges are of the size of those in force fields, and electrons can be paired. A warning tells of a
    molecule that a periodic box seems to have torn.

    Raises:
        InputError: naming what is implausible and what it looks like.
    """
    few = [group for group in data.groups if len(group) < 5 and group.qm_gradients is not None]
    if few:
        _check_gradients(data.source, _size([group.qm_gradients for group in few]))
    torn, of_few = [], []
    for group in data.groups:
        where, chosen = f"{data.source}: group {group.name!r}", np.unique(np.linspace(0, len(group) - 1, FRAMES, dtype=int))
        if complaint := unpaired(group.qm_atomic_numbers, group.total_charge):
            raise InputError(f"{where}: {complaint}; give the right --charge, or pass --no-plausibility-check if it is right.")
        _check_distances(where, group, chosen)
        torn += _torn(where, group, chosen)
        gradient = THERMAL_GRADIENT
        if group.qm_gradients is not None:
            gradient = _size([group.qm_gradients])
            if len(group) >= 5 and len(group.qm_atomic_numbers) > 1:
                _check_gradients(where, gradient)
            if group.mm_gradients is not None:
                _check_balance(where, group, chosen)
            differences = _energy_differences(group, chosen)
            if len(differences) >= 5:
                _check_signs(where, differences)
            else:
                of_few.append(differences)
        if len(group) >= 5:
            _check_energies(where, group, gradient)
    if sum(map(len, of_few)) >= 5:
        _check_signs(data.source, np.concatenate(of_few))
    if torn:
        others = f" (and {len(torn) - 1} other frames)" if len(torn) > 1 else ""
        warnings.warn(f"{torn[0][0]}{others}: {torn[0][1]}; check the source.", stacklevel=2)


def _check_distances(where: str, group: FrameGroup, frames: np.ndarray) -> None:
    hydrogen = group.qm_atomic_numbers == atomic_numbers["H"]
    if not hydrogen.any() or len(hydrogen) < 2:
        return
    apart = np.array([cdist(group.qm_positions[frame][hydrogen], group.qm_positions[frame]) for frame in frames])
    apart[apart == 0.0] = np.inf
    distance = float(np.median(apart.min(axis=-1)))
    low, high = HYDROGEN_DISTANCES
    if not low < distance < high:
        guess = "bohr taken for angstrom" if distance > low else "angstrom taken for bohr"
        guess = guess if 0.45 < distance < 2.5 else "another unit"
        raise InputError(
            f"{where}: hydrogen atoms are {distance:.3g} angstrom from the atom next to them, where 0.7 to 1.6 are usual (they look like "
            f"{guess}); correct the unit of length, or pass --no-plausibility-check."
        )


def _torn(where: str, group: FrameGroup, frames: np.ndarray) -> list[tuple[str, str]]:
    """Those of up to :data:`LOOKED_AT` of the frames whose geometry is no chemistry, and why.

    Raises:
        InputError: for MM charges of another unit.
    """
    found = []
    for frame in frames[:: -(-len(frames) // LOOKED_AT)]:
        system = group.system(frame)
        if complaint := charges_complaint(system.mm_charges):
            raise InputError(f"{where}, frame {frame}: {complaint}; correct them, or pass --no-plausibility-check.")
        if complaint := geometry_complaint(system.atomic_numbers, system.positions, system.mm_positions):
            found.append((f"{where}, frame {frame}", complaint))
    return found


def _energy_differences(group: FrameGroup, frames: np.ndarray) -> np.ndarray:
    """Along the shortest tree that joins the frames: energy differences, and what the gradients let expect, [n_pairs, 2]."""
    shapes = np.array([pdist(group.qm_positions[frame][:40]) for frame in frames])
    if not shapes.size:
        return np.zeros((0, 2))
    pairs = zip(*(frames[end] for end in minimum_spanning_tree(squareform(pdist(shapes))).nonzero()), strict=True)
    rows = [(group.energies[second] - group.energies[first], _expected_difference(group, first, second)) for first, second in pairs]
    return np.array(rows).reshape(-1, 2)


def _expected_difference(group: FrameGroup, first: int, second: int) -> float:
    """From one frame to another, by the trapezoidal rule, after the second is turned onto the first (Kabsch)."""
    start, end = (group.qm_positions[frame] - group.qm_positions[frame].mean(axis=0) for frame in (first, second))
    left, _, right = np.linalg.svd(end.T @ start)
    turn = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    return float(np.sum(0.5 * (group.qm_gradients[first] + group.qm_gradients[second] @ turn) * (end @ turn - start)))


def _check_signs(where: str, differences: np.ndarray) -> None:
    found, expected = differences.T
    scale = float(np.sqrt(np.sum(found**2) * np.sum(expected**2)))
    correlation = float(np.clip(found @ expected / scale, -0.999999, 0.999999)) if scale else 0.0
    if np.arctanh(correlation) * np.sqrt(len(found) - 2) < OPPOSITE:
        raise InputError(
            f"{where}: between near frames energies fall where their gradients say that they rise (correlation {correlation:.2f}), so the "
            "gradients look like forces; change their sign, or pass --no-plausibility-check."
        )


def _size(arrays: list[np.ndarray]) -> float:
    """Root mean square of all components."""
    return float(np.sqrt(sum(np.sum(array**2) for array in arrays) / sum(array.size for array in arrays)))


def _check_gradients(where: str, gradient: float) -> None:
    low, high = PLAUSIBLE_GRADIENTS
    if low < gradient < high:
        return
    if gradient == 0.0:
        raise InputError(f"{where}: all gradients are zero; leave them out, or pass --no-plausibility-check.")
    factors = {"eV/angstrom": units.EV, "hartree/bohr": units.HARTREE / units.BOHR, "hartree/angstrom": units.HARTREE}
    guess = min(factors, key=lambda unit: abs(np.log(gradient / THERMAL_GRADIENT * factors[unit])))
    hint = f"they look like {guess}" if gradient < low else "they look too large"
    raise InputError(
        f"{where}: the gradients have a root mean square of {gradient:.3g} kJ/mol/angstrom, where molecules at room temperature have about "
        f"{THERMAL_GRADIENT:g} ({hint}); correct the units, or pass --no-plausibility-check if these are structures near a minimum."
    )


def _check_balance(where: str, group: FrameGroup, frames: np.ndarray) -> None:
    of_mm = np.array([np.sum(group.mm_gradients[group.mm_particles(frame)], axis=0, dtype=float) for frame in frames])
    of_qm = group.qm_gradients[frames].sum(axis=1)
    left = _size([of_mm + of_qm])
    share = left / max(_size([of_mm]), _size([of_qm]), 1e-12)
    if share > UNBALANCED and left > UNBALANCED_GRADIENT:
        hint = "one of them looks like forces" if 1.8 < share < 2.2 else "one of them looks like another unit, or is not complete"
        raise InputError(
            f"{where}: gradients of QM atoms and MM particles should sum to zero, but miss that by {100 * share:.0f} % of the larger sum "
            f"({hint}); correct them, or pass --no-plausibility-check."
        )


def _check_energies(where: str, group: FrameGroup, gradient: float) -> None:
    expected = THERMAL_DISPLACEMENT * gradient * np.sqrt(3 * len(group.qm_atomic_numbers))
    found, known = float(np.std(group.energies)), group.qm_gradients is not None
    factor = IMPLAUSIBLE_FACTOR if known else IMPLAUSIBLE_FACTOR_ALONE
    if found and expected and not 1 / factor < found / expected < factor:
        guess = min(ENERGY_UNITS, key=lambda unit: abs(np.log(found / expected * ENERGY_UNITS[unit])))
        hint = f"they look like {guess}" if found < expected else "the gradients look too small" if known else "they look too large"
        raise InputError(
            f"{where}: the energies vary by {found:.3g} kJ/mol, where {'their gradients suggest' if known else 'thermal motion suggests'} "
            f"about {expected:.3g} kJ/mol ({hint}); correct the units, or pass --no-plausibility-check."
        )
