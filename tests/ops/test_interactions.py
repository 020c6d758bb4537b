"""Interaction coefficients against Eq. 6, and against the exact electrostatic energy of two point multipoles."""

from math import comb, factorial

import numpy as np
import pytest
import sympy
from keras import ops

from amp_tf.ops.interactions import contractions, interaction_coefficients, n_interaction_terms, projections
from amp_tf.ops.multipoles import pack
from tests import numpy_reference as reference


def random_pair(random, order_i, order_j):
    vector = random.normal(size=3)
    vector /= np.linalg.norm(vector)
    sides = (tuple(reference.random_traceless(random, order) for order in range(highest + 1)) for highest in (order_i, order_j))
    return *sides, vector


def projected(moments, vector):
    packed = pack(tuple(ops.convert_to_tensor(moment[None]) for moment in moments))
    return projections(packed, ops.convert_to_tensor(vector[None]))


@pytest.mark.parametrize(("order", "published"), [(0, 2), (1, 7), (2, 18), (3, 36)])
def test_number_of_terms(order, published):
    assert n_interaction_terms(order) == published


def test_number_of_terms_with_a_charge():
    assert [n_interaction_terms(order, 0) for order in range(4)] == [2, 3, 5, 7]


@pytest.mark.parametrize(("order_i", "order_j"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (3, 0), (1, 3)])
def test_every_coefficient_equals_equation_6(random, order_i, order_j):
    moments_i, moments_j, vector = random_pair(random, order_i, order_j)
    expected = []
    for d_c in range(min(order_i, order_j) + 1):
        for d_i in range(order_i - d_c + 1):
            for d_j in range(order_j - d_c + 1):
                if d_c == 0 and (d_i, d_j) in ((0, 0), (order_i, order_j)):
                    continue
                expected.append(reference.interaction(moments_i[d_i + d_c], moments_j[d_j + d_c], vector, d_i, d_c, d_j))
    for moments in (moments_i, moments_j):
        expected += [float(np.sum(moment * reference.traceless_product(vector, order))) for order, moment in enumerate(moments)]
    found = interaction_coefficients(projected(moments_i, vector), projected(moments_j, vector))
    assert found.shape == (1, n_interaction_terms(order_i, order_j))
    np.testing.assert_allclose(np.array(found)[0], expected, atol=1e-13)


def exact_energy(moments_i, moments_j, r_value):
    """(M_i·∇_i)(M_j·∇_j) 1/|r_j − r_i| by SymPy's derivatives; moments of order n carry the 1/n! of the Taylor expansion."""
    symbols = sympy.symbols("x y z", real=True)
    inverse = 1 / sympy.sqrt(sum(symbol**2 for symbol in symbols))
    total = 0
    for order_i, moment_i in enumerate(moments_i):
        for moment_j in moments_j:
            product = np.multiply.outer(moment_i, moment_j)
            counts: dict[tuple, float] = {}
            for index in np.ndindex(product.shape):
                key = tuple(index.count(axis) for axis in range(3))
                counts[key] = counts.get(key, 0.0) + product[index]
            for key, weight in counts.items():
                derivative = inverse
                for symbol, times in zip(symbols, key, strict=True):
                    derivative = sympy.diff(derivative, symbol, times) if times else derivative
                number = sympy.lambdify(symbols, derivative)(*r_value)
                total += (-1) ** order_i * weight * number
    return total


def energy_from_coefficients(moments_i, moments_j, r_value):
    """u = sum over k of b_k g^k (Eq. 5), b_k = (2k−1)!!/r^(2k+1) for vectors of length r.

    A term (d_i, d_c, d_j) comes from the derivative of order n_i + n_j; the number of ways to pair d_c indices of the two moments,
    C(n_i, d_c) C(n_j, d_c) d_c!, multiplies it, and (−1)^d_j is the sign of the derivatives, n_i of them towards i.
    """
    distance = np.linalg.norm(r_value)
    pairs = contractions(projected(moments_i, r_value / distance), projected(moments_j, r_value / distance))
    total = 0.0
    for d_c, matrix in enumerate(pairs):
        for (_, d_i, d_j), coefficient in np.ndenumerate(np.array(matrix)):
            ways = comb(d_i + d_c, d_c) * comb(d_j + d_c, d_c) * factorial(d_c)
            order = d_i + d_c + d_j
            b = reference.double_factorial(2 * order - 1) / distance ** (2 * order + 1)
            total += (-1) ** d_j * ways * b * distance ** (d_i + d_j) * coefficient
    return total


@pytest.mark.parametrize(("order_i", "order_j"), [(0, 0), (1, 0), (1, 1), (2, 1), (1, 2), (2, 2)])
def test_coefficients_reproduce_the_electrostatic_energy_of_point_multipoles(random, order_i, order_j):
    moments_i, moments_j, _ = random_pair(random, order_i, order_j)
    r_value = np.array([1.3, -0.7, 2.1])
    expected = exact_energy(moments_i, moments_j, r_value)
    assert abs(expected) > 1e-3
    np.testing.assert_allclose(energy_from_coefficients(moments_i, moments_j, r_value), expected, rtol=1e-11)
