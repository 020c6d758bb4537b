r"""The electrostatic field of charges outside the graph, as derivatives of their potential at the atoms, of any order.

.. math:: T_i^a = \partial_i^a \sum_j \sum_b (-1)^{|b|} m_j^b \, \partial_i^b \frac{1}{|r_j - r_i|}

with multi-indices a, b: a derivative a = (a_x, a_y, a_z) by the position of atom i, moments m_j of the particles j, charges (b = 0),
dipoles (b of order 1), and so on. All up to an order stand in that of :func:`amp_tf.ops.multipoles.monomials`: [n, n_monomials(order)].

A derivative of 1/r is a sum of products x^a y^b z^c / r^(2n+1), which are monomials of u = r/r² times 1/r: a product for each pair, and the
rest once an atom. The derivatives of these tensors are such tensors again: by an atom's position those of the next order; by a particle's
moments and position the tensors that the atoms make at the particle. So nothing of the size of the pairs is kept for derivatives.

Positions are in angstrom, charges in e, T of order n in e/angstrom^(n + 1).
"""

import math
from functools import lru_cache

import numpy as np
from keras import ops

from amp_tf.ops import safe
from amp_tf.ops.multipoles import exponents_up_to, folding, n_monomials, order_of_monomials

CHUNK = 2**23
"""Products of pairs that are held at once, of all orders together."""


def field_tensors(positions, mm_positions, moments, max_order: int):
    """T of the orders 0 to ``max_order`` at the atoms of each system from all particles of that system, in one pass over the pairs.

    All derivatives by all arguments are exact, of any order, for pairs farther apart than :data:`SMALLEST_DISTANCE`. Finite where a
    particle without moments stands on an atom.

    Args:
        positions: [n_systems, n_atoms, 3], angstrom.
        mm_positions: [n_systems, n_mm, 3], angstrom.
        moments: [n_systems, n_mm, n_monomials(s)]: charges alone (s = 0), or the moments Σ q x^a y^b z^c / (a! b! c!) of degrees 0 to s;
            traces do not count.
        max_order: K.

    Returns:
        [n_systems, n_atoms, n_monomials(K)]
    """
    higher = tensors_at_atoms(positions, mm_positions, moments, max_order + 1)  # the highest serves the derivatives by positions

    @ops.custom_gradient
    def lower(positions, mm_positions, moments):
        def gradients(upstream):
            return _by_position(upstream, higher), *_by_particles(positions, mm_positions, moments, upstream)

        return higher[..., : n_monomials(max_order)], gradients

    return lower(positions, mm_positions, moments)


def packed_field(tensors, radius: float):
    """T as the packed moments of :mod:`amp_tf.ops.multipoles`, R^k (radius/r)^(k + 1) for a unit charge: traceless, of one size near
    ``radius``.

    Args:
        tensors: [n, n_monomials(K)], of charges.
        radius: unit of length, angstrom.

    Returns:
        [n, n_components(K)], in e.
    """
    return ops.matmul(tensors, _constant(_unfolding(order_of_monomials(tensors), radius), tensors))


def in_blocks(values, table):
    """Rows of ``values`` [n, m] by the ``table`` [n_systems, n_most] of the members of each system; zeros where that is filled up with −1:
    [n_systems, n_most, m]."""
    return safe.gather(ops.pad(values, ((0, 1), (0, 0))), _or_last(table, ops.shape(values)[0]))


def from_blocks(blocks, table, n_rows):
    """The inverse of :func:`in_blocks`: [n_rows, m]."""
    rows = ops.reshape(_or_last(table, n_rows), (-1,))
    return safe.segment_sum(ops.reshape(blocks, (-1, blocks.shape[-1])), rows, n_rows + 1)[:n_rows]


def _or_last(table, last):
    return ops.where(table < 0, last, table)


def tensors_at_atoms(positions, mm_positions, moments, max_order: int):
    """:func:`field_tensors` without the order above, whose derivatives by positions take a pass over the pairs of their own."""

    @ops.custom_gradient
    def tensors(positions, mm_positions, moments):
        def gradients(upstream):
            higher = tensors_at_atoms(positions, mm_positions, moments, max_order + 1)
            return _by_position(upstream, higher), *_by_particles(positions, mm_positions, moments, upstream)

        return _sums_at_atoms(positions, mm_positions, moments, max_order), gradients

    return tensors(positions, mm_positions, moments)


def tensors_at_particles(positions, mm_positions, responses, source_order: int):
    """The transpose of :func:`field_tensors`: Σ_i Σ_a U_i^a ∂T_i^a/∂m_j^b, what the responses U of the atoms make at the particles.

    Args:
        positions: [n_systems, n_atoms, 3], angstrom.
        mm_positions: [n_systems, n_mm, 3], angstrom.
        responses: U [n_systems, n_atoms, n_monomials(K)], derivatives of something by T.
        source_order: highest order s of the particles' moments.

    Returns:
        [n_systems, n_mm, n_monomials(s)]; for s = 1 potential and gradient of it at the particles.
    """

    @ops.custom_gradient
    def tensors(positions, mm_positions, responses):
        def gradients(upstream):
            max_order = order_of_monomials(responses)
            by_responses = tensors_at_atoms(positions, mm_positions, upstream, max_order)
            higher = tensors_at_atoms(positions, mm_positions, upstream, max_order + 1)
            at_particles = tensors_at_particles(positions, mm_positions, responses, source_order + 1)
            return _by_position(responses, higher), _by_position(upstream, at_particles), by_responses

        return _sums_at_particles(positions, mm_positions, responses, source_order), gradients

    return tensors(positions, mm_positions, responses)


def _by_particles(positions, mm_positions, moments, upstream) -> tuple:
    """Derivatives by positions and moments of the particles, in one pass."""
    at_particles = tensors_at_particles(positions, mm_positions, upstream, order_of_monomials(moments) + 1)
    return _by_position(moments, at_particles), at_particles[..., : moments.shape[-1]]


def _by_position(weights, higher):
    """Σ_a w^a T^(a + x), and so for y and z: [..., 3] from weights [..., n_monomials(k)] and tensors of the orders to k + 1."""
    raised = _raised(order_of_monomials(weights))
    return ops.stack([ops.sum(weights * ops.take(higher, raised[axis], axis=-1), axis=-1) for axis in range(3)], axis=-1)


def _sums_at_atoms(positions, mm_positions, moments, max_order: int):
    source_order = order_of_monomials(moments)
    weights = _constant(_combination(source_order, max_order), positions)  # [products, b, a]
    n_systems, n_atoms = ops.shape(positions)[:2]

    def of_chunk(mm_positions, moments):
        inverse, *products = _products(positions, mm_positions, max_order + source_order)
        # in single precision the sum over 1/r, of large terms that cancel, would depend on the order of the particles
        potentials = ops.matmul(ops.cast(inverse, "float64"), ops.cast(moments, "float64"))
        return ops.concatenate([potentials, *(ops.cast(ops.matmul(degree, moments), "float64") for degree in products)], axis=1)

    n_products, n_moments, _ = weights.shape
    shape = (n_systems, n_products * n_atoms, n_moments)
    sums = safe.sum_of_chunks(of_chunk, shape, _particles_at_once(n_systems * n_atoms * n_products), mm_positions, moments)
    sums = ops.reshape(ops.cast(sums, positions.dtype), (n_systems, n_products, n_atoms, n_moments))
    flat = ops.reshape(ops.transpose(sums, (0, 2, 1, 3)), (n_systems, n_atoms, n_products * n_moments))
    return ops.matmul(flat, ops.reshape(weights, (-1, weights.shape[2])))


def _sums_at_particles(positions, mm_positions, responses, source_order: int):
    weights = _constant(_combination(source_order, order_of_monomials(responses)), positions)
    n_products, n_moments, n_tensors = weights.shape
    n_systems, n_atoms = ops.shape(positions)[:2]
    combined = ops.matmul(responses, ops.reshape(ops.transpose(weights, (2, 1, 0)), (n_tensors, -1)))
    combined = ops.transpose(ops.reshape(combined, (n_systems, n_atoms, n_moments, n_products)), (0, 2, 3, 1))
    highest = order_of_monomials(responses) + source_order
    of_degrees = safe.split(combined, [(degree + 1) * (degree + 2) // 2 for degree in range(highest + 1)], axis=2)

    def of_chunk(mm_positions):
        pairs = zip(of_degrees, _products(positions, mm_positions, highest), strict=True)
        tensors = sum(ops.matmul(ops.reshape(factors, (n_systems, n_moments, -1)), products) for factors, products in pairs)
        return ops.transpose(tensors, (0, 2, 1))

    chunks = safe.in_chunks(of_chunk, _particles_at_once(n_systems * n_atoms * n_products), mm_positions)
    joined = ops.reshape(ops.transpose(chunks, (1, 0, 2, 3)), (n_systems, -1, n_moments))
    return joined[:, : ops.shape(mm_positions)[1]]


def _particles_at_once(n_products):
    """Particles of a chunk, from the products that each takes."""
    return CHUNK // ops.maximum(n_products, 1)


def _products(positions, mm_positions, max_order: int):
    """The monomials of r/r² times 1/r, r from atom to particle, by their degrees up to ``max_order``, each
    [n_systems, monomials of this degree * n_atoms, n_mm]: in one array they would be copied."""
    vectors = [mm_positions[:, None, None, :, axis] - positions[:, None, :, axis, None] for axis in range(3)]
    squared = ops.maximum(sum(ops.square(vector) for vector in vectors), SMALLEST_DISTANCE**2)
    inverse = ops.rsqrt(squared)
    x, y, z = (vector * ops.square(inverse) for vector in vectors)
    degrees = [inverse]
    for degree in range(1, max_order + 1):  # in the order of multipoles.monomials
        lower = degrees[-1]
        degrees.append(ops.concatenate([x * lower, y * lower[:, -degree:], z * lower[:, -1:]], axis=1))
    n_systems, _, n_atoms, n_mm = ops.shape(inverse)
    return [ops.reshape(degree, (n_systems, degree.shape[1] * n_atoms, n_mm)) for degree in degrees]


SMALLEST_DISTANCE = 0.1
"""Distances are taken to be at least this, angstrom, so that a particle without moments may stand on an atom and single precision does not
overflow at high orders; particles with moments stay farther away (:data:`amp_tf.systems.MINIMUM_MM_DISTANCE`)."""


def _constant(matrix: np.ndarray, like):
    return ops.convert_to_tensor(matrix, dtype=like.dtype)


# Constant matrices ------------------------------------------------------------------------------------------------------------------------


@lru_cache
def _unfolding(max_order: int, radius: float) -> np.ndarray:
    """[n_monomials, n_components]: from the different components of symmetric tensors to all, times radius^(k + 1) / (2k − 1)!!."""
    of_orders = [math.prod(range(2 * order - 1, 0, -2)) / radius ** (order + 1) for order in range(max_order + 1)]
    return folding(max_order).T / np.repeat(of_orders, [3**order for order in range(max_order + 1)])


@lru_cache
def _raised(max_order: int) -> np.ndarray:
    """[3, n_monomials(max_order)]: the number of the multi-index one higher in x, y, z."""
    numbers = {exponents: number for number, exponents in enumerate(exponents_up_to(max_order + 1))}
    return np.array([[numbers[_shifted(index, axis, 1)] for index in exponents_up_to(max_order)] for axis in range(3)], np.int32)


@lru_cache
def _combination(source_order: int, max_order: int) -> np.ndarray:
    """[n_monomials(source_order + max_order), n_monomials(source_order), n_monomials(max_order)]: (-1)^|b| times the part that a product
    has in the derivative a + b of 1/r."""
    together = derivatives_of_inverse_distance(source_order + max_order)
    numbers = {exponents: number for number, exponents in enumerate(exponents_up_to(source_order + max_order))}
    combination = np.zeros((len(together), n_monomials(source_order), n_monomials(max_order)))
    for row, of_source in enumerate(exponents_up_to(source_order)):
        for column, of_atom in enumerate(exponents_up_to(max_order)):
            index = numbers[tuple(np.add(of_source, of_atom).tolist())]
            combination[:, row, column] = (-1) ** sum(of_source) * together[:, index]
    return combination


@lru_cache
def derivatives_of_inverse_distance(max_order: int) -> np.ndarray:
    """[n_monomials, n_monomials]: column a holds the polynomial f_a in ∂_i^a (1/r) = f_a(r)/r^(2|a| + 1), r = r_j − r_i.

    By f_(a + x) = (2|a| + 1) x f_a − r² ∂f_a/∂x, exactly, in whole numbers.
    """
    exponents = exponents_up_to(max_order)
    numbers = {index: number for number, index in enumerate(exponents)}
    polynomials: dict[tuple[int, int, int], dict[tuple[int, int, int], int]] = {(0, 0, 0): {(0, 0, 0): 1}}
    for index in exponents[1:]:
        axis = next(axis for axis in range(3) if index[axis])
        polynomials[index] = _next_polynomial(polynomials[_shifted(index, axis, -1)], axis, 2 * sum(index) - 1)
    matrix = np.zeros((len(exponents), len(exponents)))
    for column, index in enumerate(exponents):
        for monomial, factor in polynomials[index].items():
            matrix[numbers[monomial], column] = factor
    return matrix


def _next_polynomial(lower: dict, axis: int, factor: int) -> dict:
    """factor · x f − r² ∂f/∂x."""
    result: dict[tuple[int, int, int], int] = {}
    for monomial, value in lower.items():
        terms = {_shifted(monomial, axis, 1): factor * value}
        if monomial[axis]:
            for other in range(3):
                squared = _shifted(_shifted(monomial, axis, -1), other, 2)
                terms[squared] = terms.get(squared, 0) - monomial[axis] * value
        for key, term in terms.items():
            result[key] = result.get(key, 0) + term
    return result


def _shifted(index: tuple[int, int, int], axis: int, by: int) -> tuple[int, int, int]:
    return tuple(number + by * (place == axis) for place, number in enumerate(index))
