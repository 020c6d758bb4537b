"""What is computed of a batch, flat over its atoms and MM particles, checked and split by system."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from amp_tf.errors import InputError
from amp_tf.systems import System

OF_SYSTEMS = ("energy_std",)
"""Results [n_systems] beside the energy."""


def require_finite(systems: Sequence[System], raw: Mapping[str, np.ndarray]) -> None:
    """Check ``energy`` [n_systems], ``qm_gradients`` [n_atoms, 3] and, where they are there, what belongs to MM particles [n_mm, ...].

    Raises:
        InputError: naming the first system, and the atom or particle, whose value is NaN or infinite.
    """
    for name in ("energy", "qm_gradients", "mm_gradients", "mm_potentials"):
        if name in raw and not np.isfinite(raw[name]).all():
            raise InputError(_sentence(systems, name, raw[name]))


def _sentence(systems: Sequence[System], name: str, values: np.ndarray) -> str:
    first = int(np.argwhere(~np.isfinite(values))[0][0])
    if name == "energy":
        return f"system {first}: the energy is NaN or infinite{_REMEDY}"
    of_mm = name.startswith("mm_")
    sizes = [len(system.mm_charges if of_mm else system.atomic_numbers) for system in systems]
    system = int(np.searchsorted(np.cumsum(sizes), first, side="right"))
    particle = f"{'MM particle' if of_mm else 'atom'} {first - sum(sizes[:system])}"
    what = "potential" if name == "mm_potentials" else "gradient"
    return f"system {system}: the {what} of {particle} is NaN or infinite{_REMEDY}"


_REMEDY = "; check that the weights of the potential are finite numbers, and the geometry and charges of this system."


def split_by_system(systems: Sequence[System], raw: Mapping[str, Any], embeds_charges: bool) -> dict[str, list]:
    """Lists, one entry a system, of the arrays [n_atoms, ...] or [n_mm, ...] of a batch.

    ``mm_gradients`` and ``mm_potentials`` are left out where the model embeds no charges; ``multipoles`` become tuples over orders;
    ``dipole`` [n_systems, 3] is that of ``charges`` about the centroid of the atoms, e*angstrom, where the model gives charges alone.
    """
    rest, result = dict(raw), {}
    atom_splits = np.cumsum([len(system.atomic_numbers) for system in systems])[:-1]
    mm_splits = np.cumsum([len(system.mm_charges) for system in systems])[:-1]
    of_mm = {name: np.split(rest.pop(name), mm_splits) for name in ("mm_gradients", "mm_potentials") if name in rest}
    vectors = rest.pop("dipole", None)
    result |= {name: rest.pop(name) for name in OF_SYSTEMS if name in rest}
    if embeds_charges:
        result |= of_mm
    if "multipoles" in rest:
        split_orders = [np.split(moment, atom_splits) for moment in rest.pop("multipoles")]
        result["multipoles"] = list(zip(*split_orders, strict=True))
    result |= {name: np.split(values, atom_splits) for name, values in rest.items()}
    if vectors is not None:
        result["dipole"] = list(vectors)
    elif "charges" in result:
        result["dipole"] = [
            charges.astype(np.float64) @ (system.positions - system.positions.mean(axis=0))
            for charges, system in zip(result["charges"], systems, strict=True)
        ]
    return result
