"""Checks of the settings that a potential is made with."""

import json
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from ase.data import atomic_numbers as NUMBER_OF_SYMBOL

from amp_tf.errors import InputError
from amp_tf.ops.interactions import n_interaction_terms

MAXIMUM_WEIGHTS = 1_000_000_000
"""No potential has more weights than this; the published ones have less than two millions."""

LARGEST = {"n_layers": 100, "max_order": 10, "n_radial": 10_000, "n_radial_weights": 10_000}
"""The largest sizes; multipoles of order 10 have 59 049 components."""


def require(condition: bool, message: str) -> None:
    """Raise :class:`~amp_tf.errors.InputError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InputError(message)


def require_positive(**values: float) -> None:
    """Each value must be a finite number above zero."""
    for name, value in values.items():
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        require(is_number and 0 < value < float("inf"), f"{name} must be positive and finite, got {value!r}.")


def require_whole(least: int, most: float = np.inf, /, **values: int) -> None:
    """Each value must be a whole number of at least ``least`` and at most ``most``."""
    for name, value in values.items():
        is_whole = isinstance(value, Integral) and not isinstance(value, bool)
        require(is_whole and value >= least, f"{name} must be a whole number of at least {least}, got {value!r}.")
        require(value <= most, f"{name} must be at most {most:g}, got {value}.")


def check_sizes(**sizes: int) -> None:
    """Refuse sizes that are no whole numbers or ask for more memory than any potential needs, before any is taken."""
    for name, size in sizes.items():
        require_whole(0 if name == "max_order" else 1, LARGEST.get(name, np.inf), **{name: size})
    require(
        least_weights(**sizes) <= MAXIMUM_WEIGHTS,
        f"{', '.join(f'{name} {size}' for name, size in sizes.items())} ask for more than {MAXIMUM_WEIGHTS:,} weights; choose smaller.",
    )


def least_weights(
    n_layers: int, n_features: int, n_radial: int = 1, n_radial_weights: int = 0, max_order: int = 0, n_filters: int = 1
) -> int:
    """A number of weights that a potential of these sizes has at least: those of the largest kernels of its layers."""
    of_layer = max(n_features, n_filters) ** 2 + n_features * n_radial_weights * n_interaction_terms(max_order)
    return n_layers * of_layer + n_radial


def checked_elements(elements: Sequence[str]) -> tuple[str, ...]:
    """The chemical symbols that a potential is to know, distinct and at least one."""
    try:
        known = (elements,) if isinstance(elements, str) else tuple(elements)
    except TypeError as error:
        raise InputError(f"elements must be a list of chemical symbols, got {elements!r}.") from error
    wrong = [symbol for symbol in known if not (isinstance(symbol, str) and NUMBER_OF_SYMBOL.get(symbol))]
    require(bool(known) and not wrong and len(set(known)) == len(known), f"elements must be distinct chemical symbols, got {list(known)}.")
    return tuple(map(str, known))


def checked_energies(atomic_energies: Mapping[str, float] | None, elements: Sequence[str]) -> dict[str, float]:
    """The energy of each element, zero where none is given."""
    try:
        energies = {symbol: float(energy) for symbol, energy in dict(atomic_energies or {}).items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"atomic_energies must give a number for each element, got {atomic_energies!r}.") from error
    require(all(map(np.isfinite, energies.values())), f"atomic_energies hold NaN or infinite values: {energies}.")
    known = dict.fromkeys(elements, 0.0) | energies
    strangers = sorted(map(str, set(known) - set(elements)))
    require(not strangers, f"atomic_energies name {strangers}, not an element of the model.")
    return known


def checked_provenance(provenance: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy as plain JSON values."""
    try:
        return json.loads(json.dumps(dict(provenance or {})))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"provenance must hold JSON values alone ({error}).") from error
