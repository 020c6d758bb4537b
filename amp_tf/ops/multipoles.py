"""Cartesian multipoles of any order: traceless products (Eq. 2), their expansion on atoms (Eqs. 3 and 10), norms."""

from functools import lru_cache
from itertools import product

import numpy as np
from keras import ops

from amp_tf.ops import safe


def traceless_product(unit_vectors, order: int):
    """R^k: the traceless part of the k-fold outer product of a unit vector with itself (Eq. 2).

    The orthogonal projection of r⊗r⊗…⊗r on symmetric tensors all of whose traces vanish: R^0 = 1, R^1 = r, R^2 = r⊗r − 1/3.

    Args:
        unit_vectors: [n, 3].
        order: k >= 0.

    Returns:
        [n, 3, …, 3] with k threes.
    """
    if order == 0:
        return ops.ones_like(unit_vectors[:, 0])
    exponents = _monomial_exponents(order)
    monomials = unit_vectors
    for degree in range(2, order + 1):
        factor, axis = _monomial_factors(degree)
        monomials = ops.take(monomials, factor, axis=1) * ops.take(unit_vectors, axis, axis=1)
    matrix = ops.convert_to_tensor(_monomials_to_traceless(order), dtype=unit_vectors.dtype)
    assert len(exponents) == matrix.shape[0]
    return ops.reshape(ops.matmul(monomials, matrix), (-1, *(3,) * order))


def traceless_products(unit_vectors, max_order: int) -> tuple:
    """:func:`traceless_product` for the orders 0 to ``max_order``."""
    return tuple(traceless_product(unit_vectors, order) for order in range(max_order + 1))


def expand(coefficients, products: tuple, receivers, n_atoms) -> tuple:
    """M_i^k = Σ_j c_ij^k R_ij^k for each order (Eq. 3, and either sum of Eq. 10).

    Args:
        coefficients: [n_edges, len(products)].
        products: R^k [n_edges, 3, …, 3] of consecutive orders k.
        receivers: [n_edges], atom i.
        n_atoms: number of atoms.

    Returns:
        A tuple over the orders of [n_atoms, 3, …, 3].
    """
    multipoles = []
    for column, tensor in enumerate(products):
        weight = ops.reshape(coefficients[:, column], (-1, *(1,) * (len(tensor.shape) - 1)))
        multipoles.append(safe.segment_sum(weight * tensor, receivers, n_atoms))
    return tuple(multipoles)


def norms(multipoles: tuple, width: float):
    """Frobenius norm of each order, smooth at zero within ``width`` (:func:`amp_tf.ops.safe.smooth_norm`): [n_atoms, len(multipoles)]."""
    flat = [ops.reshape(moment, (-1, 3 ** (len(moment.shape) - 1))) for moment in multipoles]
    return ops.stack([safe.smooth_norm(moment, width) for moment in flat], axis=-1)


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
