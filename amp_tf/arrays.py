"""What users pass as numbers, as plain NumPy arrays: OpenMM's units are converted, other units and masked values refused."""

from importlib import import_module
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from amp_tf import units
from amp_tf.errors import InputError

LENGTHS = ("positions", "mm_positions")
"""What is a length; all else that may carry a unit is a charge."""


def without_units(value: Any, name: str) -> Any:
    """``value`` in the units of the package, without them: arrays as NumPy arrays, lists (of arrays) as lists.

    Quantities of OpenMM are converted: nanometers to angstrom for what is called ``positions`` or ``mm_positions``.

    Raises:
        InputError: for quantities of other packages, masked values, and what NumPy makes no array of.
    """
    if value is None or type(value) in (np.ndarray, float, int):
        return value
    if isinstance(value, np.ma.MaskedArray):
        if np.any(np.ma.getmaskarray(value)):
            raise InputError(f"{name} holds masked values; leave these out or fill them in.")
        return np.asarray(value.data)
    if hasattr(value, "value_in_unit"):
        return _from_openmm(value, name)
    if hasattr(value, "units") or hasattr(value, "unit"):
        wanted = units.LENGTH if name in LENGTHS else units.CHARGE
        raise InputError(f"{name} has a unit of its own ({type(value).__name__}); convert it to {wanted} and pass the plain numbers.")
    if isinstance(value, list | tuple):
        return [item if type(item) in (float, int) else without_units(item, name) for item in value]
    return _array(value, name)


def as_plain(value: Any, name: str) -> np.ndarray:
    """``value`` as an array of its own type.

    Raises:
        InputError: for quantities with units, masked values, and what NumPy makes no array of.
    """
    if hasattr(value, "units") or hasattr(value, "unit"):
        raise InputError(f"{name} has a unit of its own ({type(value).__name__}); pass the plain numbers in the units of amp_tf.")
    return np.asarray(without_units(value, name) if isinstance(value, np.ma.MaskedArray) else _array(value, name))


def _array(value: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception as error:  # whatever another package raises
        raise InputError(f"{name} must be an array of numbers, got {type(value).__name__} ({_short(error)}).") from error


def _from_openmm(quantity: Any, name: str) -> Any:
    try:
        known = import_module(type(quantity).__module__.rpartition(".")[0])  # openmm.unit
        return np.asarray(quantity.value_in_unit(known.angstrom if name in LENGTHS else known.elementary_charge))
    except Exception as error:  # among them the unit's own TypeError for another dimension
        raise InputError(f"{name} cannot be converted to {units.LENGTH if name in LENGTHS else units.CHARGE} ({_short(error)}).") from error


def as_floats(value: Any, name: str) -> np.ndarray:
    """``value`` as float64.

    Raises:
        InputError: as :func:`without_units`, for what are no real numbers, and, but for ``positions``, NaN or infinite values.
    """
    value = without_units(value, name)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers, got {type(value).__name__}: {_short(error)}") from error
    if array.dtype.kind not in "iuf" and array.size:
        raise InputError(f"{name} must be real numbers, got {array.dtype}.")
    array = array.astype(np.float64)
    if name != "positions" and not np.isfinite(array).all():
        where = f" (particle {int(np.argwhere(~np.isfinite(array))[0][0])})" if array.ndim else ""
        raise InputError(f"{name} holds NaN or infinite values{where}; correct the input.")
    return array


def as_number(value: Any, name: str) -> float:
    """``value`` as a float; raises :class:`InputError` as :func:`as_floats`, and for an array."""
    array = as_floats(value, name)
    if array.ndim:
        raise InputError(f"{name} must be one number a system, got shape {list(array.shape)}.")
    return float(array)


def as_atomic_numbers(value: Any) -> np.ndarray:
    """``value`` as int32; raises :class:`InputError` unless it is one row of atomic numbers of elements."""
    value = without_units(value, "atomic_numbers")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"atomic_numbers must be an array of integers, got {type(value).__name__}: {_short(error)}") from error
    if array.ndim != 1 or array.dtype.kind not in "iu" or np.any(array < 1) or np.any(array >= len(chemical_symbols)):
        raise InputError(f"atomic_numbers must be [n_atoms] positive integers of elements, got {array.dtype} of shape {list(array.shape)}.")
    return array.astype(np.int32)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
