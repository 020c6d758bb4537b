"""Every layer passes the one layer test, and the pair layers equal dense layers on concatenations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from amp_tf.layers import (
    AnisotropicMessagePassing,
    ChannelExpansion,
    ChannelMessagePassing,
    DirectPolarization,
    InducedMultipoles,
    MessagePassing,
    MultipoleExpansion,
    NearFarPolarization,
    PaiNNMessage,
    PaiNNMixing,
    PairDense,
    PairPerceptron,
    Perceptron,
    RadialWeights,
    SchNetInteraction,
    SineBasis,
    make_edges,
)
from amp_tf.layers.channels import channel_features
from amp_tf.ops.field import packed_field
from amp_tf.ops.interactions import interaction_coefficients, projections
from amp_tf.ops.multipoles import monomials, n_components, n_monomials, unpack
from amp_tf.ops.radial import bessel_basis
from tests.layers.run_layer_test import run_layer_test

N_ATOMS, N_FEATURES, N_ELEMENTS, N_RADIAL, ORDER = 4, 6, 2, 5, 2


def random_tensor(seed, shape, dtype):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def edges(dtype):
    receivers, senders = np.nonzero(~np.eye(N_ATOMS, dtype=bool))
    positions = 1.5 * random_tensor(1, (N_ATOMS, 3), dtype)
    return make_edges(positions, positions, tf.constant(receivers), tf.constant(senders), 6.0, N_RADIAL, smooth=True)


def features(dtype):
    return random_tensor(2, (N_ATOMS, N_FEATURES), dtype)


def one_hot(dtype):
    return tf.one_hot([0, 1, 1, 0], N_ELEMENTS, dtype=dtype)


def multipoles(dtype):
    return random_tensor(10, (N_ATOMS, n_components(ORDER)), dtype)


def pair_features(dtype, size):
    return random_tensor(3, (N_ATOMS * (N_ATOMS - 1), size), dtype)


def channels(dtype, n_channels):
    return random_tensor(10, (N_ATOMS, n_channels, n_components(ORDER)), dtype)


CASES = {
    "PairDense": (
        lambda dtype: PairDense(3, N_FEATURES, 4, activation="swish", dtype=dtype),
        lambda dtype: (features(dtype), pair_features(dtype, 4), edges(dtype)),
        (6 + 6 + 4) * 3 + 3,
    ),
    "PairDense without sender": (
        lambda dtype: PairDense(3, N_FEATURES, 4, with_sender=False, dtype=dtype),
        lambda dtype: (features(dtype), pair_features(dtype, 4), edges(dtype)),
        (6 + 4) * 3 + 3,
    ),
    "Perceptron": (
        lambda dtype: Perceptron(N_FEATURES, (4, 3), 2, dtype=dtype),
        lambda dtype: (features(dtype),),
        (6 * 4 + 4) + (4 * 3 + 3) + (3 * 2 + 2),
    ),
    "PairPerceptron": (
        lambda dtype: PairPerceptron(N_FEATURES, 4, (5, 3), 2, dtype=dtype),
        lambda dtype: (features(dtype), pair_features(dtype, 4), edges(dtype)),
        (16 * 5 + 5) + (5 * 3 + 3) + (3 * 2 + 2),
    ),
    "Perceptron without the last bias": (
        lambda dtype: Perceptron(N_FEATURES, (4, 3), 2, output_bias=False, dtype=dtype),
        lambda dtype: (features(dtype),),
        (6 * 4 + 4) + (4 * 3 + 3) + 3 * 2,
    ),
    "PairPerceptron without the last bias": (
        lambda dtype: PairPerceptron(N_FEATURES, 4, (5, 3), 2, output_bias=False, dtype=dtype),
        lambda dtype: (features(dtype), pair_features(dtype, 4), edges(dtype)),
        (16 * 5 + 5) + (5 * 3 + 3) + 3 * 2,
    ),
    "ChannelExpansion": (
        lambda dtype: ChannelExpansion(ORDER, 3, N_FEATURES, 4, dtype=dtype),
        lambda dtype: (features(dtype), pair_features(dtype, 4), monomials(edges(dtype).unit_vectors, ORDER), edges(dtype)),
        ((6 + 6 + 4) * 6 + 6) + (6 * 6 + 6) + 6 * 3 * 2,
    ),
    "ChannelMessagePassing": (
        lambda dtype: ChannelMessagePassing(3, (16, 13, 7), N_FEATURES, 4, dtype=dtype),
        lambda dtype: (features(dtype), channels(dtype, 3), pair_features(dtype, 4), edges(dtype)),
        ((6 + 6 + 3 * 3 + 4) * 6 + 6) + (6 * 6 + 6) + ((6 + 6) * 6 + 6) + (6 * 6 + 6),
    ),
    "InducedMultipoles": (
        lambda dtype: InducedMultipoles(ORDER, N_RADIAL, 0.7, dtype=dtype),
        lambda dtype: (random_tensor(7, (N_ATOMS, ORDER), dtype), random_tensor(4, (N_ATOMS,), dtype), edges(dtype)),
        (5 * 2 + 2) + 2 * 2,
    ),
    "SineBasis": (lambda dtype: SineBasis(3, 4.0, 6, dtype=dtype), lambda dtype: (edges(dtype).distances,), 3),
    "RadialWeights": (
        lambda dtype: RadialWeights(3, N_ELEMENTS, N_RADIAL, dtype=dtype),
        lambda dtype: (one_hot(dtype), edges(dtype)),
        (2 + 2 + 5) * 3 + 3,
    ),
    "MessagePassing": (
        lambda dtype: MessagePassing(N_FEATURES, N_ELEMENTS, N_RADIAL, dtype=dtype),
        lambda dtype: (features(dtype), one_hot(dtype), edges(dtype)),
        ((6 + 6 + 5) * 6 + 6) + (6 * 6 + 6) + ((6 + 6 + 2) * 6 + 6) + (6 * 6 + 6),
    ),
    "MultipoleExpansion": (
        lambda dtype: MultipoleExpansion(ORDER, N_FEATURES, 4, 0.5, dtype=dtype),
        lambda dtype: (features(dtype), pair_features(dtype, 4), monomials(edges(dtype).unit_vectors, ORDER), edges(dtype)),
        ((6 + 6 + 4) * 6 + 6) + (6 * 6 + 6) + (6 * 3 + 3),
    ),
    "AnisotropicMessagePassing": (
        lambda dtype: AnisotropicMessagePassing(ORDER, N_FEATURES, N_ELEMENTS, 2, 1e-4, dtype=dtype),
        lambda dtype: (features(dtype), one_hot(dtype), multipoles(dtype), pair_features(dtype, 2), edges(dtype)),
        ((6 + 6 + 2 * 18) * 6 + 6) + (6 * 6 + 6) + ((6 + 6 + 3 + 2) * 6 + 6) + (6 * 6 + 6),
    ),
    "DirectPolarization": (
        lambda dtype: DirectPolarization(ORDER, N_FEATURES, N_ELEMENTS, N_RADIAL, 2, 0.5, dtype=dtype),
        lambda dtype: (features(dtype), one_hot(dtype), multipoles(dtype), random_tensor(4, (N_ATOMS,), dtype), edges(dtype)),
        ((2 + 5) * 2 + 2) + ((6 + 2 * 5) * 6 + 6) + (6 * 6 + 6) + (6 * 2 + 2),
    ),
    "NearFarPolarization": (
        lambda dtype: NearFarPolarization(ORDER, N_FEATURES, N_ELEMENTS, N_RADIAL, 2, 0.5, dtype=dtype),
        lambda dtype: (
            features(dtype), one_hot(dtype), multipoles(dtype), random_tensor(6, (N_ATOMS, n_monomials(ORDER)), dtype),
            random_tensor(4, (N_ATOMS,), dtype), edges(dtype),
        ),
        ((2 + 5) * 2 + 2) + ((6 + 2 * 5) * 6 + 6) + (6 * 6 + 6) + (6 * 2 + 2) + ((6 + 4) * 6 + 6) + (6 * 6 + 6) + (6 * 2 + 2),
    ),
    "PaiNNMessage": (
        lambda dtype: PaiNNMessage(N_FEATURES, N_RADIAL, dtype=dtype),
        lambda dtype: (features(dtype), random_tensor(5, (N_ATOMS, 3, N_FEATURES), dtype), edges(dtype)),
        (5 * 18 + 18) + (6 * 6 + 6) + (6 * 18 + 18),
    ),
    "PaiNNMixing": (
        lambda dtype: PaiNNMixing(N_FEATURES, dtype=dtype),
        lambda dtype: (features(dtype), random_tensor(5, (N_ATOMS, 3, N_FEATURES), dtype)),
        6 * 12 + (12 * 6 + 6) + (6 * 18 + 18),
    ),
    "SchNetInteraction": (
        lambda dtype: SchNetInteraction(N_FEATURES, 7, N_RADIAL, dtype=dtype),
        lambda dtype: (features(dtype), edges(dtype)),
        6 * 7 + (5 * 7 + 7) + (7 * 7 + 7) + (7 * 6 + 6) + (6 * 6 + 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_layer(name, tmp_path):
    keras.utils.set_random_seed(3)
    make_layer, make_inputs, n_parameters = CASES[name]
    run_layer_test(make_layer, make_inputs, n_parameters, tmp_path)


@pytest.mark.parametrize("with_sender", [True, False])
def test_pair_dense_equals_a_dense_layer_on_the_concatenation(with_sender):
    layer = PairDense(7, N_FEATURES, 4, with_sender, "swish", dtype="float64")
    atoms, pairs, geometry = features("float64"), pair_features("float64", 4), edges("float64")
    ends = (geometry.receivers, geometry.senders) if with_sender else (geometry.receivers,)
    concatenated = np.concatenate([*(np.array(atoms)[end] for end in ends), pairs], axis=1)
    linear = concatenated @ np.array(layer.kernel) + np.array(layer.bias)
    np.testing.assert_allclose(layer(atoms, pairs, geometry), linear / (1.0 + np.exp(-linear)), rtol=1e-12, atol=1e-13)


def test_sines_start_as_bessel_functions():
    distances = edges("float64").distances
    np.testing.assert_allclose(SineBasis(4, 4.0, dtype="float64")(distances), bessel_basis(distances, 4.0, 4), rtol=1e-12, atol=1e-14)


def test_each_channel_interacts_by_itself():
    """The coefficients of a channel are those of its multipoles alone, in the order that was asked for."""
    terms, pairs, packed = (16, 13, 7, 8), edges("float64"), channels("float64", 3)
    found = np.array(channel_features(packed, terms, pairs)).reshape(-1, 3, 4)
    for channel in range(3):
        ends = (tf.gather(packed[:, channel], end) for end in (pairs.receivers, pairs.senders))
        every = np.array(interaction_coefficients(*(projections(moments, pairs.unit_vectors) for moments in ends)))
        np.testing.assert_allclose(found[:, channel], every[:, terms], rtol=1e-12, atol=1e-12)


def test_charges_induce_moments_along_and_against_their_direction():
    """With a perceptron of constants the dipole is factor · a · Σ w q R/R³."""
    layer, (polarizabilities, charges, pairs) = CASES["InducedMultipoles"][0]("float64"), CASES["InducedMultipoles"][1]("float64")
    first, last = layer.coefficients.dense
    first.set_weights([np.zeros(first.kernel.shape), np.ones(first.bias.shape)])
    last.set_weights([np.full(last.kernel.shape, 0.5 * (1 + np.exp(-1.0)))])
    found = unpack(layer(polarizabilities, charges, pairs))
    expected = np.zeros((N_ATOMS, 3))
    for receiver, sender, distance, vector, weight in zip(
        pairs.receivers, pairs.senders, pairs.distances, pairs.unit_vectors, pairs.weights, strict=True
    ):
        expected[int(receiver)] += 0.7 * float(weight[0]) * float(charges[int(sender)]) * np.array(vector) / float(distance) ** 2
    np.testing.assert_allclose(found[1], np.array(polarizabilities)[:, :1] * expected, rtol=1e-10)
    np.testing.assert_array_equal(found[0], 0.0)


def constant(perceptron, value):
    """Make the last linear layer give ``value`` for whatever it sees."""
    last = perceptron.dense[-1]
    last.set_weights([np.zeros(last.kernel.shape), np.full(last.bias.shape, value)])


def test_near_charges_make_their_blunted_field_where_the_response_is_constant():
    """With φ = 1 and φ_F = 0 the moments are Σ s q b^(k+1) R^k, b = 3/√(r² + 1)."""
    make_layer, make_inputs, _ = CASES["NearFarPolarization"]
    layer, (*atoms, tensors, charges, pairs) = make_layer("float64"), make_inputs("float64")
    constant(layer.coefficients.rest, 1.0)
    constant(layer.response, 0.0)
    unit, decay = np.array(pairs.unit_vectors), 3.0 / np.sqrt(np.array(pairs.distances) ** 2 + 1.0)
    strength = 0.5 * np.array(charges)[pairs.senders] * np.array(pairs.weights)[:, 0]
    dipoles, quadrupoles = np.zeros((N_ATOMS, 3)), np.zeros((N_ATOMS, 3, 3))
    np.add.at(dipoles, np.array(pairs.receivers), (strength * decay**2)[:, None] * unit)
    traceless = unit[:, :, None] * unit[:, None, :] - np.eye(3) / 3.0
    np.add.at(quadrupoles, np.array(pairs.receivers), (strength * decay**3)[:, None, None] * traceless)
    found = unpack(layer(*atoms, tensors, charges, pairs))
    np.testing.assert_allclose(found[1], dipoles, atol=1e-12)
    np.testing.assert_allclose(found[2], quadrupoles, atol=1e-12)


def test_near_and_far_parts_share_the_field_between_them():
    """Of near pairs alone, with φ = 0 and φ_F = 1, what is added is the whole field less what the switch takes out."""
    make_layer, make_inputs, _ = CASES["NearFarPolarization"]
    layer, (*atoms, tensors, charges, pairs) = make_layer("float64"), make_inputs("float64")
    constant(layer.coefficients.rest, 0.0)
    constant(layer.response, 1.0)
    unit, decay = np.array(pairs.unit_vectors), 3.0 / np.array(pairs.distances)
    strength = np.array(charges)[pairs.senders] * np.array(pairs.weights)[:, 0]
    dipoles = np.array(unpack(packed_field(tensors, 3.0))[1])
    np.subtract.at(dipoles, np.array(pairs.receivers), (strength * decay**2)[:, None] * unit)
    np.testing.assert_allclose(unpack(layer(*atoms, tensors, charges, pairs))[1], 0.5 * dipoles, atol=1e-12)


@pytest.mark.parametrize("case", ["DirectPolarization", "NearFarPolarization"])
def test_direct_polarization_leaves_the_monopoles_alone(case):
    make_layer, make_inputs, _ = CASES[case]
    added = unpack(make_layer("float64")(*make_inputs("float64")))
    np.testing.assert_array_equal(added[0], 0.0)
    assert all(np.any(np.array(moment) != 0.0) for moment in added[1:])
