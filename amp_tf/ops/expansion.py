r"""Local expansion of the field of far particles about a center: its tensors at the center give those at the atoms around.

.. math:: T_i^a = \sum_{|d| \le p - |a|} \frac{(r_i - c)^d}{d!} \, T_c^{a + d}

The tensors at the center are those of :func:`amp_tf.ops.field.tensors_at_atoms` to order p: a pass over the particles without the
atoms. Relative to the potential of a particle at distance R the series errs by (ρ/R)^(p + 1), ρ the distance of the atom
from the center; each further order of T loses about a digit, of what is far smaller than the same order from particles close by.
"""

import math
from functools import lru_cache

import numpy as np
from keras import ops

from amp_tf.ops.multipoles import exponents_up_to, monomials, n_monomials, order_of_monomials


def translated(at_centers, offsets, max_order: int):
    """T of the orders 0 to ``max_order`` beside a center.

    Args:
        at_centers: T of order 0 to p at the center of each atom, [n_systems, n_atoms, n_monomials(p)].
        offsets: of the atoms from it, [n_systems, n_atoms, 3], angstrom.
        max_order: K.

    Returns:
        [n_systems, n_atoms, n_monomials(K)]
    """
    order = order_of_monomials(at_centers)
    numbers, weights = _shifts(order, max_order)
    n_systems, n_atoms = ops.shape(offsets)[:2]
    powers = ops.reshape(monomials(ops.reshape(offsets, (-1, 3)), order), (n_systems, n_atoms, 1, n_monomials(order)))
    shifted = ops.take(at_centers, numbers, axis=-1) * ops.convert_to_tensor(weights, dtype=offsets.dtype)
    return ops.sum(shifted * powers, axis=-1)


def order_for(tolerance: float, ratio: float) -> int:
    """The order p at which (1/ratio)^(p + 1) is at most ``tolerance``; ``ratio`` is R/ρ."""
    return math.ceil(-math.log(tolerance) / math.log(ratio)) - 1


@lru_cache
def _shifts(order: int, max_order: int) -> tuple[np.ndarray, np.ndarray]:
    """[n_monomials(max_order), n_monomials(order)]: the number of a + d, and 1/d!, or 0 where a + d is beyond ``order``."""
    exponents = exponents_up_to(order)
    numbers = {index: number for number, index in enumerate(exponents)}
    sums = [[tuple(np.add(one, other).tolist()) for other in exponents] for one in exponents_up_to(max_order)]
    inverse = [1.0 / math.prod(map(math.factorial, index)) for index in exponents]
    weights = np.array([[factor * (index in numbers) for index, factor in zip(row, inverse, strict=True)] for row in sums])
    return np.array([[numbers.get(index, 0) for index in row] for row in sums], np.int32), weights
