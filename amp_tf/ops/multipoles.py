"""Cartesian multipoles of any order: traceless products (Eq. 2), their expansion on atoms (Eqs. 3 and 10), norms.

Inside the package the moments of all orders 0..k are packed into one tensor [n, n_components(k)], order after order, the 3^l components of
order l in row-major order: every operation then serves all orders at once. :func:`unpack` gives the tuple of [n, 3, …, 3].
"""

from functools import lru_cache
from itertools import product

import numpy as np
from keras import ops

from amp_tf.ops import safe


def n_components(max_order: int) -> int:
    """Components of the moments of the orders 0 to ``max_order``: 1, 4, 13, 40 for 0, 1, 2, 3."""
    return (3 ** (max_order + 1) - 1) // 2


def highest_order(packed) -> int:
    """k of packed moments [..., n_components(k)]."""
    order = 0
    while n_components(order) < packed.shape[-1]:
        order += 1
    return order


def pack(moments: tuple):
    """[n, n_components] from a tuple over the orders of [n, 3, …, 3]."""
    return ops.concatenate([ops.reshape(moment, (-1, 3**order)) for order, moment in enumerate(moments)], axis=-1)


def unpack(packed) -> tuple:
    """A tuple over the orders of [n, 3, …, 3] from packed moments [n, n_components]."""
    return tuple(ops.reshape(moment, (-1, *(3,) * order)) for order, moment in enumerate(split_orders(packed)))


def split_orders(packed) -> list:
    """Packed moments [..., n_components] cut into the orders, a list of [..., 3**order]."""
    order = highest_order(packed)
    return ops.split(packed, [n_components(lower) for lower in range(order)], axis=-1) if order else [packed]


def traceless_products(unit_vectors, max_order: int):
    """R^k for the orders 0 to ``max_order``, packed: [n, n_components(max_order)].

    R^k is the traceless part of the k-fold outer product of a unit vector with itself (Eq. 2), the orthogonal projection of r⊗r⊗…⊗r on
    symmetric tensors all of whose traces vanish: R^0 = 1, R^1 = r, R^2 = r⊗r − 1/3.

    Args:
        unit_vectors: [n, 3].
    """
    degrees = [ops.ones_like(unit_vectors[:, :1]), unit_vectors]
    for degree in range(2, max_order + 1):
        factor, axis = _monomial_factors(degree)
        degrees.append(ops.take(degrees[-1], factor, axis=1) * ops.take(unit_vectors, axis, axis=1))
    monomials = ops.concatenate(degrees[: max_order + 1], axis=-1)
    return ops.matmul(monomials, ops.convert_to_tensor(_projection(max_order), dtype=unit_vectors.dtype))


def expand(coefficients, products, receivers, n_atoms):
    """M_i^k = Σ_j c_ij^k R_ij^k for each order (Eq. 3, and either sum of Eq. 10).

    Args:
        coefficients: [n_edges, m], those of the m highest orders; the others are zero.
        products: R^k, packed [n_edges, n_components].
        receivers: [n_edges], atom i.
        n_atoms: number of atoms.

    Returns:
        The packed moments [n_atoms, n_components].
    """
    of_orders = _components_of_orders(highest_order(products))[-coefficients.shape[-1] :]
    spread = ops.matmul(coefficients, ops.convert_to_tensor(of_orders, dtype=coefficients.dtype))
    return safe.segment_sum(spread * products, receivers, n_atoms)


def norms(packed, width: float):
    """Frobenius norm of each order, smooth at zero within ``width`` (as :func:`amp_tf.ops.safe.smooth_norm`): [n_atoms, k + 1]."""
    of_orders = ops.convert_to_tensor(_components_of_orders(highest_order(packed)).T, dtype=packed.dtype)
    return ops.sqrt(ops.matmul(ops.square(packed), of_orders) + width**2) - width


@lru_cache
def _components_of_orders(max_order: int) -> np.ndarray:
    """[max_order + 1, n_components]: 1 where a component belongs to an order."""
    return np.repeat(np.eye(max_order + 1), [3**order for order in range(max_order + 1)], axis=1)


@lru_cache
def _projection(max_order: int) -> np.ndarray:
    """[number of monomials up to degree max_order, n_components]: the traceless products from the monomials of all degrees."""
    blocks = [_monomials_to_traceless(order) for order in range(max_order + 1)]
    matrix = np.zeros(np.sum([block.shape for block in blocks], axis=0))
    row = column = 0
    for block in blocks:
        matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return matrix


@lru_cache
def _monomial_exponents(order: int) -> tuple[tuple[int, int, int], ...]:
    """Exponents (a, b, c) of the monomials x^a y^b z^c of degree ``order``; the three of degree 1 are x, y, z."""
    return tuple(sorted((e for e in product(range(order + 1), repeat=3) if sum(e) == order), reverse=True))


@lru_cache
def _monomial_factors(order: int) -> tuple[list[int], list[int]]:
    """Each monomial of degree ``order`` as (monomial of degree order − 1) times (coordinate): their numbers."""
    lower = {exponents: number for number, exponents in enumerate(_monomial_exponents(order - 1))}
    factor, axis = [], []
    for exponents in _monomial_exponents(order):
        coordinate = next(a for a in range(3) if exponents[a])
        factor.append(lower[tuple(e - (a == coordinate) for a, e in enumerate(exponents))])
        axis.append(coordinate)
    return factor, axis


@lru_cache
def traceless_basis(order: int) -> np.ndarray:
    """Orthonormal basis of the symmetric traceless tensors of ``order``: [3**order, 2*order + 1], float64.

    Found as the null space of the trace on symmetric tensors.
    """
    if order == 0:
        return np.ones((1, 1))
    exponents = _monomial_exponents(order)
    indices = list(product(range(3), repeat=order))
    symmetric = np.zeros((3**order, len(exponents)))
    for row, index in enumerate(indices):
        symmetric[row, exponents.index(tuple(index.count(axis) for axis in range(3)))] = 1.0
    symmetric /= np.linalg.norm(symmetric, axis=0)
    if order == 1:
        return symmetric
    trace = np.einsum("aa...->...", symmetric.reshape(3, 3, -1, len(exponents))).reshape(-1, len(exponents))
    _, singular, rows = np.linalg.svd(trace)
    rank = int(np.sum(singular > 1e-10))
    return symmetric @ rows[rank:].T


@lru_cache
def _monomials_to_traceless(order: int) -> np.ndarray:
    """[n_monomials, 3**order]: the projection of the k-fold product, whose component (i1 … ik) is the monomial r_i1 … r_ik."""
    exponents = _monomial_exponents(order)
    projector = traceless_basis(order) @ traceless_basis(order).T
    matrix = np.zeros((len(exponents), 3**order))
    for row, index in enumerate(product(range(3), repeat=order)):
        matrix[exponents.index(tuple(index.count(axis) for axis in range(3)))] += projector[row]
    return matrix
