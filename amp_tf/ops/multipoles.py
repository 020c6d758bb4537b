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
    return safe.split(packed, [3**order for order in range(highest_order(packed) + 1)], axis=-1)


def n_monomials(max_order: int) -> int:
    """Monomials x^a y^b z^c up to degree ``max_order``: 1, 4, 10, 20 for 0, 1, 2, 3."""
    return (max_order + 1) * (max_order + 2) * (max_order + 3) // 6


def monomials(unit_vectors, max_order: int):
    """The monomials x^a y^b z^c of the degrees 0 to ``max_order``, [n, n_monomials(max_order)], degree after degree.

    They hold the k-fold outer products r⊗r⊗…⊗r of unit vectors [n, 3] without repetition; :func:`traceless` makes R^k of them.
    """
    x, y, z = ops.split(unit_vectors, 3, axis=1)
    degrees = [ops.ones_like(x), unit_vectors]
    for degree in range(2, max_order + 1):  # in the order of monomial_exponents: those with x, those with y but no x, z^degree
        lower = degrees[-1]
        degrees.append(ops.concatenate([x * lower, y * lower[:, -degree:], z * lower[:, -1:]], axis=1))
    return ops.concatenate(degrees[: max_order + 1], axis=1)


def traceless(sums):
    """Σ c R^k, packed [n, n_components(k)], from the same sums of monomials [n, n_monomials(k)].

    R^k is the traceless part of the k-fold outer product of a unit vector with itself (Eq. 2), the orthogonal projection of r⊗r⊗…⊗r on
    symmetric tensors all of whose traces vanish: R^0 = 1, R^1 = r, R^2 = r⊗r − 1/3. It is linear in the monomials.
    """
    return ops.matmul(sums, ops.convert_to_tensor(_projection(order_of_monomials(sums)), dtype=sums.dtype))


def spread(coefficients, max_order: int):
    """From one coefficient an order to one a monomial: [n, n_monomials(max_order)].

    Args:
        coefficients: [n, m], those of the m highest orders; the others are zero.
        max_order: highest order.
    """
    of_orders = _monomials_of_orders(max_order)[-coefficients.shape[-1] :]
    return ops.matmul(coefficients, ops.convert_to_tensor(of_orders, dtype=coefficients.dtype))


def expand(coefficients, products, receivers, n_atoms):
    """M_i^k = Σ_j c_ij^k R_ij^k for each order (Eq. 3, and either sum of Eq. 10).

    Args:
        coefficients: [n_edges, n_monomials], see :func:`spread`.
        products: :func:`monomials` of the unit vectors [n_edges, n_monomials].
        receivers: [n_edges], atom i.
        n_atoms: number of atoms.

    Returns:
        The packed moments [n_atoms, n_components].
    """
    return traceless(safe.segment_sum(coefficients * products, receivers, n_atoms))


def full_contractions(packed, products, receivers):
    """M_i^n·R_ij^n for every order n and pair, of traceless moments: [n_edges, k + 1].

    Args:
        packed: moments of the atoms [n_atoms, n_components(k)].
        products: :func:`monomials` [n_edges, n_monomials(k)].
        receivers: [n_edges], atom i.
    """
    order = highest_order(packed)
    matrices = folding(order), _monomials_of_orders(order).T
    folded, of_orders = (ops.convert_to_tensor(matrix, dtype=packed.dtype) for matrix in matrices)
    return ops.matmul(safe.gather(ops.matmul(packed, folded), receivers) * products, of_orders)


def norms(packed, width: float):
    """Frobenius norm of each order, smooth at zero within ``width`` (as :func:`amp_tf.ops.safe.smooth_norm`): [n_atoms, k + 1]."""
    of_orders = ops.convert_to_tensor(components_of_orders(highest_order(packed)).T, dtype=packed.dtype)
    return ops.sqrt(ops.matmul(ops.square(packed), of_orders) + width**2) - width


def order_of_monomials(values) -> int:
    """k of values [..., n_monomials(k)]."""
    order = 0
    while n_monomials(order) < values.shape[-1]:
        order += 1
    return order


@lru_cache
def components_of_orders(max_order: int) -> np.ndarray:
    """[max_order + 1, n_components]: 1 where a component belongs to an order."""
    return np.repeat(np.eye(max_order + 1), [3**order for order in range(max_order + 1)], axis=1)


@lru_cache
def _monomials_of_orders(max_order: int) -> np.ndarray:
    """[max_order + 1, n_monomials]: 1 where a monomial is of a degree."""
    return np.repeat(np.eye(max_order + 1), [len(monomial_exponents(order)) for order in range(max_order + 1)], axis=1)


@lru_cache
def folding(max_order: int) -> np.ndarray:
    """[n_components, n_monomials]: 1 where a component of a tensor meets a monomial when the tensor is contracted with r⊗r⊗…⊗r."""
    matrix = np.zeros((n_components(max_order), n_monomials(max_order)))
    row = column = 0
    for order in range(max_order + 1):
        exponents = monomial_exponents(order)
        for index in product(range(3), repeat=order):
            matrix[row, column + exponents.index(tuple(index.count(axis) for axis in range(3)))] = 1.0
            row += 1
        column += len(exponents)
    return matrix


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
def monomial_exponents(order: int) -> tuple[tuple[int, int, int], ...]:
    """Exponents (a, b, c) of the monomials x^a y^b z^c of degree ``order``; the three of degree 1 are x, y, z."""
    return tuple(sorted((e for e in product(range(order + 1), repeat=3) if sum(e) == order), reverse=True))


@lru_cache
def exponents_up_to(max_order: int) -> tuple[tuple[int, int, int], ...]:
    """Of the monomials of the degrees 0 to ``max_order``, in the order of :func:`monomials`."""
    return tuple(exponents for order in range(max_order + 1) for exponents in monomial_exponents(order))


@lru_cache
def traceless_basis(order: int) -> np.ndarray:
    """Orthonormal basis of the symmetric traceless tensors of ``order``: [3**order, 2*order + 1], float64.

    Found as the null space of the trace on symmetric tensors.
    """
    if order == 0:
        return np.ones((1, 1))
    exponents = monomial_exponents(order)
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
    exponents, basis = monomial_exponents(order), traceless_basis(order)
    rows = [exponents.index(tuple(index.count(axis) for axis in range(3))) for index in product(range(3), repeat=order)]
    summed = np.zeros((len(exponents), basis.shape[1]))
    np.add.at(summed, rows, basis)
    return summed @ basis.T  # the projector, 9**order numbers, is not formed
