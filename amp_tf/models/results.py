"""Results that are no numbers become one sentence that names the system and the particle."""

from collections.abc import Mapping, Sequence

import numpy as np

from amp_tf.errors import InputError
from amp_tf.systems import System


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
