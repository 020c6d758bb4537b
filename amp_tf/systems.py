"""System, one molecule, cluster or QM/MM system, checked when it is made."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from ase.data import chemical_symbols
from scipy.spatial import cKDTree

from amp_tf.arrays import as_atomic_numbers, as_floats, as_number
from amp_tf.errors import InputError
from amp_tf.geometry import geometry_complaint
from amp_tf.neighbours import nearest_images, particles_around

MINIMUM_DISTANCE = 1e-3
"""Two particles closer than this are taken to lie on one point, angstrom."""

MINIMUM_MM_DISTANCE = 0.5
"""An MM particle closer than this to a QM atom is a mistake of the geometry, angstrom."""

MM_CHARGE_TOLERANCE = 1e-3
"""MM charges that miss their declared sum by more than this give a warning, e."""

MAXIMUM_EXTENT = 1e4
"""A system larger than this is taken to have come apart, angstrom."""

MAXIMUM_MM_DISTANCE = 1e6
"""MM particles farther than this from the atoms are a mistake, angstrom."""

MAXIMUM_COORDINATE = 1e9
"""Farther from the origin than this double precision resolves atoms no longer well, angstrom."""

MAXIMUM_CHARGE = 100.0
"""No particle and no molecule has a larger charge, that of a nucleus, e."""


@dataclass(frozen=True)
class System:
    """One molecule, cluster or QM/MM system; checked when it is made.

    Attributes:
        atomic_numbers: [n_atoms].
        positions: [n_atoms, 3], angstrom.
        total_charge: e.
        mm_positions: [n_mm, 3], angstrom.
        mm_charges: [n_mm], e.
        mm_total_charge: what ``mm_charges`` are declared to sum to, e; None declares nothing. A warning tells where they do not.
        cell: [3] edges of a box or [3, 3] vectors of a cell, angstrom, in which the MM particles are periodic: whole molecules of these are
            shifted to the image nearest to the atoms (:func:`amp_tf.neighbours.nearest_images`). None: all stays where it is.

    Raises:
        InputError: for a wrong shape, units that cannot be converted, masked, NaN, infinite or absurdly large values, two atoms on one
            point, or a charged MM particle within 0.5 angstrom of an atom.
    """

    atomic_numbers: np.ndarray
    positions: np.ndarray
    total_charge: float = 0.0
    mm_positions: np.ndarray | None = None
    mm_charges: np.ndarray | None = None
    mm_total_charge: float | None = None
    cell: np.ndarray | None = None

    def __post_init__(self):
        if (self.mm_positions is None) != (self.mm_charges is None):
            raise InputError("mm_positions and mm_charges come together: give both or neither.")
        mm_charges = np.zeros(0) if self.mm_charges is None else as_floats(self.mm_charges, "mm_charges")
        mm_positions = np.zeros((0, 3)) if self.mm_positions is None else as_floats(self.mm_positions, "mm_positions")
        mm_positions = mm_positions.reshape(-1, 3) if mm_positions.size == 0 else mm_positions
        total_charge = as_number(self.total_charge, "total_charge")
        declared = None if self.mm_total_charge is None else as_number(self.mm_total_charge, "mm_total_charge")
        for name, value in {
            "atomic_numbers": as_atomic_numbers(self.atomic_numbers),
            "positions": as_floats(self.positions, "positions"),
            "total_charge": total_charge,
            "mm_total_charge": declared,
            "mm_positions": mm_positions,
            "mm_charges": mm_charges,
        }.items():
            object.__setattr__(self, name, value)
        check_system(self.atomic_numbers, self.positions)
        if mm_positions.ndim != 2 or mm_positions.shape[1] != 3 or mm_charges.shape != mm_positions.shape[:1]:
            raise InputError(
                f"mm_positions {list(mm_positions.shape)} and mm_charges {list(mm_charges.shape)} must be [n_mm, 3] and [n_mm]."
            )
        if abs(total_charge) > MAXIMUM_CHARGE:
            raise InputError(f"a total charge of {total_charge:g} e is none of a molecule; correct it.")
        if self.cell is not None:
            object.__setattr__(self, "cell", _as_cell(self.cell))
            mm_positions = nearest_images(self.positions, mm_positions, self.cell)
            object.__setattr__(self, "mm_positions", mm_positions)
        if len(mm_charges):
            _check_mm_particles(self.positions, mm_positions, mm_charges)
        total = float(mm_charges.sum())
        if declared is not None and abs(total - declared) > MM_CHARGE_TOLERANCE:
            warnings.warn(f"the MM charges sum to {total:+.6g} e, declared are {declared:+g} e; check them.", stacklevel=3)


def check_system(atomic_numbers: np.ndarray, positions: np.ndarray) -> None:
    """Check one set of atoms: ``atomic_numbers`` [n_atoms], ``positions`` [n_atoms, 3] in angstrom.

    Raises:
        InputError: for a wrong shape, NaN or infinite positions, or two atoms on one point; names the atoms.
    """
    if positions.ndim != 2 or positions.shape != (len(atomic_numbers), 3) or len(atomic_numbers) == 0:
        raise InputError(f"positions have shape {list(positions.shape)}, expected [{len(atomic_numbers)}, 3] with at least one atom.")
    if not np.all(np.isfinite(positions)):
        atom = int(np.argwhere(~np.isfinite(positions))[0][0])
        raise InputError(
            f"the position of atom {atom} ({chemical_symbols[atomic_numbers[atom]]}) is NaN or infinite; correct the geometry."
        )
    if np.abs(positions).max() > MAXIMUM_COORDINATE:
        atom = int(np.argmax(np.abs(positions).max(axis=1)))
        raise InputError(f"atom {atom} ({chemical_symbols[atomic_numbers[atom]]}) is too far from the origin; move the system there.")
    if np.ptp(positions, axis=0).max() > MAXIMUM_EXTENT:
        raise InputError(f"the atoms spread over more than {MAXIMUM_EXTENT:g} angstrom; the system seems to have come apart.")
    distances, nearest = cKDTree(positions).query(positions, k=2, distance_upper_bound=MINIMUM_DISTANCE)
    if len(coincident := np.flatnonzero(np.isfinite(distances[:, 1]))):
        first = int(coincident[0])
        second = int(next(atom for atom in nearest[first] if atom != first))
        raise InputError(f"atoms {first} and {second} lie on one point (closer than {MINIMUM_DISTANCE} angstrom); correct the geometry.")


def warn_of_geometry(systems: Sequence[System], where: str = "system") -> None:
    """A warning that names the first system whose geometry is no chemistry (:func:`amp_tf.geometry.geometry_complaint`)."""
    for number, system in enumerate(systems):
        if complaint := geometry_complaint(system.atomic_numbers, system.positions, system.mm_positions):
            warnings.warn(f"{where} {number}: {complaint}.", stacklevel=3)
            return


def _as_cell(value) -> np.ndarray:
    """[3, 3] of three edges or of three vectors."""
    cell = as_floats(value, "cell")
    cell = np.diag(cell) if cell.shape == (3,) else cell
    if cell.shape != (3, 3) or abs(np.linalg.det(cell)) < 1.0:
        raise InputError(f"cell must be three edges or three vectors of a periodic cell, angstrom, got shape {list(np.shape(value))}.")
    return cell


def _check_mm_particles(positions: np.ndarray, mm_positions: np.ndarray, mm_charges: np.ndarray) -> None:
    """Refuse absurd charges and distances, and a charged particle on an atom, where one without charge may stand, such as the oxygen of
    four-site water."""
    if np.abs(mm_charges).max() > MAXIMUM_CHARGE:
        particle = int(np.abs(mm_charges).argmax())
        raise InputError(f"MM particle {particle} has a charge of {mm_charges[particle]:g} e; charges are in e, correct them.")
    if np.abs(mm_positions - positions[0]).max() > MAXIMUM_MM_DISTANCE:
        particle = int(np.abs(mm_positions - positions[0]).max(axis=1).argmax())
        raise InputError(
            f"MM particle {particle} is more than {MAXIMUM_MM_DISTANCE:g} angstrom from the QM atoms; correct the geometry or leave it out."
        )
    around = particles_around(positions, mm_positions, MINIMUM_MM_DISTANCE)
    around = around[mm_charges[around] != 0.0]
    if len(around):
        distances, atoms = cKDTree(positions).query(mm_positions[around])
        nearest = int(distances.argmin())
        if distances[nearest] < MINIMUM_MM_DISTANCE:
            raise InputError(
                f"MM particle {around[nearest]} is {distances[nearest]:.3f} angstrom from QM atom {atoms[nearest]}, less than "
                f"{MINIMUM_MM_DISTANCE} angstrom; correct the geometry or leave that particle out."
            )


def make_systems(atomic_numbers, positions, mm_positions, mm_charges, total_charge, mm_total_charge=None, cell=None) -> list[System]:
    """A list of :class:`System` from lists of arrays, one entry a system; None, a single total charge, the cell and one row of atomic
    numbers (of the frames of a trajectory) serve all."""
    n_systems = len(positions)
    columns = {
        "atomic_numbers": [atomic_numbers] * n_systems if _is_one_row(atomic_numbers) else atomic_numbers,
        "positions": positions,
        "total_charge": [total_charge] * n_systems if _is_one(total_charge) else total_charge,
        "mm_positions": [None] * n_systems if mm_positions is None else mm_positions,
        "mm_charges": [None] * n_systems if mm_charges is None else mm_charges,
        "mm_total_charge": [mm_total_charge] * n_systems if _is_one(mm_total_charge) else mm_total_charge,
    }
    for name, column in columns.items():
        if not isinstance(column, list | tuple) and _is_one(column):
            raise InputError(f"{name} must have one entry for each of the {n_systems} systems.")
        if len(column) != n_systems:
            raise InputError(f"{n_systems} systems were given, but {name} has {len(column)} entries; give one a system.")
    systems = []
    for number, row in enumerate(zip(*columns.values(), strict=True)):
        with naming(f"system {number}", n_systems > 1):
            systems.append(System(**dict(zip(columns, row, strict=True)), cell=cell))
    return systems


def _is_one(value) -> bool:
    """Whether ``value`` is one for all systems, and no list or array with one for each."""
    return not isinstance(value, list | tuple) and getattr(value, "ndim", 0) == 0


def _is_one_row(atomic_numbers) -> bool:
    """Whether these are the atomic numbers of one system."""
    if isinstance(atomic_numbers, list | tuple):
        return bool(atomic_numbers) and all(isinstance(number, Integral) for number in atomic_numbers)
    return getattr(atomic_numbers, "ndim", 0) == 1 and atomic_numbers.dtype.kind in "iu"


@contextmanager
def naming(where: str, wanted: bool = True) -> Iterator[None]:
    """Put ``where`` in front of the :class:`InputError` that the block raises."""
    try:
        yield
    except InputError as error:
        if not wanted:
            raise
        raise type(error)(f"{where}: {error}") from error
