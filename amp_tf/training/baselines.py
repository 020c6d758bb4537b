"""What a network starts from: energies of atoms and charges of ions, from the data."""

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from amp_tf.data.pipeline import Frames
from amp_tf.data.reference_data import FrameGroup


def fit_atomic_energies(frames: Frames, elements: tuple[str, ...]) -> dict[str, float]:
    """Energies of the elements whose sums fit the energies of ``frames`` best (least squares, smallest norm), kJ/mol, in float64."""
    counts = _counts([system.atomic_numbers for system in frames.systems], elements)
    return dict(zip(elements, np.linalg.lstsq(counts, frames.energies, rcond=None)[0].tolist(), strict=True))


def charges_of_ions(groups: Sequence[FrameGroup], elements: tuple[str, ...]) -> dict[str, float]:
    """Charges of the elements, e, with which ions of one atom that come alone and with others have the same charge in both.

    An even spread of the total charge has another Coulomb energy in a pair than in its parts alone, which atomic energies would learn, and
    keep long after the charges are right. An element that occurs alone, with one charge, has that; those of the others are the smallest
    whose sums are the rest of the total charges (least squares). All are zero where no ion is alone, and those of the others where one
    would exceed 1 e, as where molecules exchange protons.
    """
    found: dict[str, set[float]] = {}
    for group in groups:
        if len(group.qm_atomic_numbers) == 1:
            found.setdefault(chemical_symbols[group.qm_atomic_numbers[0]], set()).add(float(group.total_charge))
    alone = {symbol: min(values) for symbol, values in found.items() if len(values) == 1}
    others = [symbol for symbol in elements if symbol not in alone]
    charges = {symbol: alone.get(symbol, 0.0) for symbol in elements}
    if any(charges.values()):
        totals = [
            group.total_charge - sum(charges.get(chemical_symbols[number], 0.0) for number in group.qm_atomic_numbers) for group in groups
        ]
        rest = np.linalg.lstsq(_counts([group.qm_atomic_numbers for group in groups], others), np.array(totals), rcond=None)[0]
        if np.all(np.abs(rest) <= 1.0):
            charges |= dict(zip(others, rest.tolist(), strict=True))
    return charges


def _counts(molecules: Sequence[np.ndarray], elements: Sequence[str]) -> np.ndarray:
    """How many atoms of each element each molecule has, [n_molecules, n_elements]."""
    numbers = [atomic_numbers[symbol] for symbol in elements]
    return np.array([[np.count_nonzero(molecule == number) for number in numbers] for molecule in molecules], dtype=float)


def lowest_frames(frames: Frames) -> Frames:
    """The frame of lowest energy of each composition.

    A fit to all frames would count the heat of those that are hot among the energies of the atoms, which then do not add up for frames of
    another composition that are cold: networks take long to mend that, in steps of the optimizer.
    """
    found: dict[bytes, int] = {}
    for number, (system, energy) in enumerate(zip(frames.systems, frames.energies, strict=True)):
        formula = np.sort(system.atomic_numbers).tobytes()
        if formula not in found or energy < frames.energies[found[formula]]:
            found[formula] = number
    return frames[np.array(sorted(found.values()))]
