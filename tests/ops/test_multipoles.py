"""Traceless products, expansion and norms against NumPy references written from the equations."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from amp_tf.ops import multipoles
from tests import numpy_reference as reference


def unit_vectors(random, n=7):
    vectors = random.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def traceless_product(vectors, order):
    """The highest order of the packed products."""
    return np.array(multipoles.unpack(multipoles.traceless(multipoles.monomials(ops.convert_to_tensor(vectors), order)))[order])


@pytest.mark.parametrize("order", range(6))
def test_traceless_product_equals_the_closed_formula(random, order):
    vectors = unit_vectors(random)
    expected = np.stack([reference.traceless_product(vector, order) for vector in vectors])
    np.testing.assert_allclose(traceless_product(vectors, order), expected, atol=1e-14)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_traceless_product_is_symmetric_and_traceless(random, order):
    tensors = traceless_product(unit_vectors(random), order)
    np.testing.assert_allclose(tensors, np.swapaxes(tensors, 1, order), atol=1e-15)
    np.testing.assert_allclose(np.einsum("naa...->n...", tensors), 0.0, atol=1e-15)


@pytest.mark.parametrize("order", range(5))
def test_traceless_basis_has_the_dimension_of_a_spherical_multipole(order):
    basis = multipoles.traceless_basis(order)
    assert basis.shape == (3**order, 2 * order + 1)
    np.testing.assert_allclose(basis.T @ basis, np.eye(2 * order + 1), atol=1e-14)


def test_expand_sums_weighted_products_into_receivers(random):
    vectors, receivers = unit_vectors(random, 5), np.array([0, 0, 2, 2, 2])
    coefficients = random.normal(size=(5, 4))
    of_monomials = multipoles.spread(ops.convert_to_tensor(coefficients), 3)
    expanded = multipoles.expand(of_monomials, multipoles.monomials(ops.convert_to_tensor(vectors), 3), receivers, 3)
    for order, moments in enumerate(multipoles.unpack(expanded)):
        expected = np.zeros((3, *(3,) * order))
        for edge, receiver in enumerate(receivers):
            expected[receiver] += coefficients[edge, order] * reference.traceless_product(vectors[edge], order)
        np.testing.assert_allclose(moments, expected, atol=1e-14)


def test_expand_with_fewer_coefficients_leaves_the_low_orders_zero(random):
    products = multipoles.monomials(ops.convert_to_tensor(unit_vectors(random, 4)), 2)
    coefficients = random.normal(size=(4, 2))
    both = [np.concatenate([np.zeros((4, 1)), coefficients], axis=1), coefficients]
    full, short = (
        np.array(multipoles.expand(multipoles.spread(ops.convert_to_tensor(c), 2), products, np.zeros(4, dtype=int), 1)) for c in both
    )
    np.testing.assert_allclose(short, full, atol=1e-15)
    assert np.all(short[:, 0] == 0.0)


def test_full_contractions_of_traceless_moments_are_those_with_the_traceless_products(random):
    vectors, receivers = unit_vectors(random, 5), np.array([0, 1, 1, 0, 1])
    moments = tuple(reference.random_traceless(random, order, 2) for order in range(4))
    packed, products = multipoles.pack(tuple(map(ops.convert_to_tensor, moments))), multipoles.monomials(ops.convert_to_tensor(vectors), 3)
    found = np.array(multipoles.full_contractions(packed, products, receivers))
    for pair, (vector, atom) in enumerate(zip(vectors, receivers, strict=True)):
        expected = [np.sum(moment[atom] * reference.traceless_product(vector, order)) for order, moment in enumerate(moments)]
        np.testing.assert_allclose(found[pair], expected, atol=1e-13)


def test_orders_are_cut_at_sizes_that_are_not_worked_out_in_the_graph():
    @tf.function(input_signature=[tf.TensorSpec([None, 13])])
    def cut(packed):
        return multipoles.split_orders(packed)

    operations = {operation.type for operation in cut.get_concrete_function().graph.get_operations()}
    assert operations == {"Placeholder", "Const", "SplitV", "Identity"}
    assert [part.shape[1] for part in cut(np.zeros((2, 13), np.float32))] == [1, 3, 9]


def test_unpack_undoes_pack(random):
    moments = tuple(random.normal(size=(2, *(3,) * order)) for order in range(4))
    packed = multipoles.pack(tuple(map(ops.convert_to_tensor, moments)))
    assert packed.shape == (2, multipoles.n_components(3))
    assert multipoles.highest_order(packed) == 3
    for found, expected in zip(multipoles.unpack(packed), moments, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_norms_deviate_from_the_frobenius_norm_by_less_than_their_width(random):
    moments = tuple(reference.random_traceless(random, order, 4) for order in range(4))
    expected = np.stack([np.linalg.norm(moment.reshape(4, -1), axis=1) for moment in moments], axis=1)
    found = np.array(multipoles.norms(multipoles.pack(tuple(map(ops.convert_to_tensor, moments))), 1e-4))
    assert np.max(np.abs(found - expected)) < 1e-4
    assert np.all(found <= expected)
