"""PaiNN, SchNet and GNN with MM particles as nodes: an independent NumPy evaluation of their published equations, node by node."""

import math

import keras
import numpy as np
import pytest

import amp_tf
from amp_tf.errors import InputError
from amp_tf.systems import System
from tests import numpy_reference

CUTOFF, N_RADIAL = 4.0, 6
MM_TYPES = (-0.8, 0.4)
SETTINGS = {"elements": ("H", "O"), "cutoff": CUTOFF, "n_radial": N_RADIAL, "n_layers": 3, "mm_types": MM_TYPES, "dtype": "float64"}


def swish(values):
    return values / (1 + np.exp(-values))


def softplus(values):
    return np.log(0.5 * np.exp(values) + 0.5)


def identity(values):
    return values


def dense(layer, values, activation=identity):
    weights = [np.array(weight) for weight in layer.get_weights()]
    return activation(values @ weights[0] + (weights[1] if len(weights) > 1 else 0.0))


def perceptron(layer, values, n_active):
    for number, part in enumerate(layer.dense):
        values = dense(part, values, swish if number < n_active else identity)
    return values


@pytest.fixture
def system(random):
    """A water molecule with two water molecules of charges around it, all within reach of another's cut-off."""
    water = np.array([[0.0, 0.0, 0.0], [0.76, 0.0, -0.59], [-0.74, 0.1, -0.6]])
    others = np.concatenate([water + [0.3, 2.9, 0.4], water[:, [1, 2, 0]] + [0.1, 0.5, 3.1]])
    return System(np.array([8, 1, 1]), water, 0.0, others + random.normal(scale=0.05, size=others.shape), np.array([-0.8, 0.4, 0.4] * 2))


def nodes(system):
    """One-hot types and positions of all nodes, QM atoms first: H, O, O-MM, H-MM."""
    kinds = [{1: 0, 8: 1}[number] for number in system.atomic_numbers] + [2 if charge < 0 else 3 for charge in system.mm_charges]
    return np.eye(4)[kinds], np.concatenate([system.positions, system.mm_positions])


def neighbours(positions, i):
    """(j, basis, cut-off function, unit vector) of the pairs of node i."""
    for j, position in enumerate(positions):
        vector = position - positions[i]
        distance = math.sqrt(vector @ vector)
        if j != i and distance < CUTOFF:
            basis = numpy_reference.bessel_basis(distance, CUTOFF, N_RADIAL, 5)
            yield j, basis, numpy_reference.cutoff_function(distance / CUTOFF, 5), vector / distance


def atomic_energy(model, features, one_hot, n_atoms):
    return sum(perceptron(model.readout, np.concatenate([features[i], one_hot[i]]), 2)[0] for i in range(n_atoms))


def gnn_energy(model, system):
    one_hot, positions = nodes(system)
    features = dense(model.embedding, one_hot)
    for layer in model.message_layers:
        updated = []
        for i in range(len(positions)):
            received = np.zeros(model.n_features)
            for j, basis, weight, _ in neighbours(positions, i):
                pair = np.concatenate([features[i], features[j], basis])
                received += weight * perceptron(layer.message.rest, dense(layer.message.pair, pair, swish), 1)
            updated.append(features[i] + perceptron(layer.update, np.concatenate([features[i], received, one_hot[i]]), 2))
        features = np.array(updated)
    return atomic_energy(model, features, one_hot, len(system.positions))


def schnet_energy(model, system):
    one_hot, positions = nodes(system)
    features = dense(model.embedding, one_hot)
    for block in model.interactions:
        updated = []
        for i in range(len(positions)):
            convolved = np.zeros(model.n_filters)
            for j, basis, weight, _ in neighbours(positions, i):
                filters = weight * dense(block.second_filter, dense(block.first_filter, basis, softplus))
                convolved += dense(block.to_filters, features[j]) * filters
            updated.append(features[i] + dense(block.output_layer, dense(block.from_filters, convolved, softplus)))
        features = np.array(updated)
    return atomic_energy(model, features, one_hot, len(system.positions))


def painn_energy(model, system):
    one_hot, positions = nodes(system)
    scalars, size = dense(model.embedding, one_hot), model.n_features
    vectors = np.zeros((len(positions), 3, size))
    for message, mixing in zip(model.messages, model.mixings, strict=True):
        new_scalars, new_vectors = scalars.copy(), vectors.copy()
        for i in range(len(positions)):
            for j, basis, weight, unit in neighbours(positions, i):
                phi, filters = perceptron(message.context, scalars[j], 1), weight * dense(message.filters, basis)
                phi_s, phi_vs, phi_vv = np.split(phi * filters, 3)
                new_scalars[i] += phi_s
                new_vectors[i] += vectors[j] * phi_vv + np.outer(unit, phi_vs)
        scalars, vectors = new_scalars, new_vectors
        map_u, map_v = np.split(np.array(mixing.linear_maps.kernel), 2, axis=1)
        for i in range(len(positions)):
            mapped_u, mapped_v = vectors[i] @ map_u, vectors[i] @ map_v
            width = 1e-4
            norm = np.sqrt(np.sum(mapped_v**2, axis=0) + width**2) - width
            a_ss, a_vv, a_sv = np.split(perceptron(mixing.context, np.concatenate([scalars[i], norm]), 1), 3)
            scalars[i] += a_ss + a_sv * np.sum(mapped_u * mapped_v, axis=0)
            vectors[i] += a_vv * mapped_u
    return atomic_energy(model, scalars, one_hot, len(system.positions))


CASES = {
    "GNN": (amp_tf.GNN, {"n_features": 7}, gnn_energy),
    "SchNet": (amp_tf.SchNet, {"n_features": 7, "n_filters": 5}, schnet_energy),
    "PaiNN": (amp_tf.PaiNN, {"n_features": 6}, painn_energy),
}


def make(name):
    model, settings, _ = CASES[name]
    keras.utils.set_random_seed(4)
    potential = model(**SETTINGS, **settings)
    random = np.random.default_rng(4)
    potential.set_weights([random.normal(scale=0.25, size=weight.shape) for weight in potential.get_weights()])
    return potential


@pytest.mark.parametrize("name", CASES)
def test_the_energy_equals_the_published_equations(name, system):
    potential = make(name)
    found = potential.compute_systems([system])["energy"][0]
    assert found == pytest.approx(CASES[name][2](potential, system), rel=1e-11)
    assert abs(found) > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_charges_that_are_no_type_are_refused(name, system):
    potential = make(name)
    with pytest.raises(InputError, match=r"knows MM particles of charge -0\.8, 0\.4 e, not 0\.7"):
        potential.compute(system.atomic_numbers, system.positions, system.mm_positions[:1], [0.7])
    with pytest.raises(InputError, match="reads MM charges as types"):
        potential.compute_systems([system], mm_potentials=True)


@pytest.mark.parametrize("types", [(0.4, 0.4), (0.0, 0.0003), ("O",), (np.nan,), 0.4j])
def test_impossible_types(types):
    with pytest.raises(InputError, match="mm_types must be"):
        amp_tf.PaiNN(("H", "O"), n_features=4, mm_types=types)


def test_the_sizes_of_the_paper_give_about_a_million_parameters():
    """A.4: about one million; GNN is widened to that."""
    sizes = {"PaiNN": amp_tf.PaiNN, "SchNet": amp_tf.SchNet, "GNN": lambda **settings: amp_tf.GNN(n_features=224, **settings)}
    counts = {name: model(elements=("H", "O"), mm_types=MM_TYPES).count_params() for name, model in sizes.items()}
    assert all(0.9e6 < count < 1.1e6 for count in counts.values()), counts


def test_training_batches_equal_graphs_built_together(random, system):
    """The ragged gathering of tf.data shifts the numbers of MM nodes as :func:`amp_tf.graph.join_graphs` does."""
    from amp_tf.data.pipeline import Frames, GraphBatches

    potential = make("SchNet")
    fewer = System(system.atomic_numbers, system.positions + 0.1, 0.0, system.mm_positions[:3], system.mm_charges[:3])
    frames = Frames([system, fewer], np.zeros(2))
    graph, _ = GraphBatches(potential, frames).batch([1, 0])
    for name, found, expected in zip(graph._fields, graph, potential.build_graph([fewer, system]), strict=True):
        np.testing.assert_array_equal(found, expected, err_msg=name)
