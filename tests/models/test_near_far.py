"""AMP(k)-DP with a near cut-off: smooth, blind to charges of zero, the same with XLA, with expansions and at any place."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import amp_tf
from amp_tf.graph import MolecularGraph
from amp_tf.neighbours import WIDEST_CENTER, expansion_centers, far_particles, near_pairs
from amp_tf.systems import System
from tests.models.test_embedding import NUMBERS, WATER, check_forces_and_torques, embedded

NEAR = 4.0


def make(dtype="float64", order=2, **settings):
    keras.utils.set_random_seed(6)
    shared = {
        "direct_polarization": True,
        "pairwise_coulomb": True,
        "near_cutoff": NEAR,
        "coefficient_scale": 0.1,
        "n_features": 32,
        "n_layers": 2,
    }
    return amp_tf.AMP(("H", "O"), order, dtype=dtype, **shared | settings)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_two_derivatives_are_continuous_where_a_charge_crosses_the_near_cutoff(order):
    """Energies, gradients and their differences on both sides of the cut-off meet as the step shrinks."""
    potential, direction = make(order=order), np.array([0.6, 0.0, 0.8])

    def gradient_along(distance):
        return float(potential.compute(NUMBERS, WATER, [distance * direction], [0.8])["mm_gradients"][0] @ direction)

    def jump_of_second_derivative(step):
        below, at, above = (gradient_along(NEAR + offset) for offset in (-step, 0.0, step))
        return (above - at) / step - (at - below) / step

    second = (gradient_along(NEAR + 1e-4) - gradient_along(NEAR - 1e-4)) / 2e-4
    assert abs(second) > 1.0
    jumps = [abs(jump_of_second_derivative(step)) for step in (4e-3, 2e-3, 1e-3)]
    assert jumps[2] < 0.02 * abs(second)
    assert jumps[2] < 0.7 * jumps[1] < 0.49 * jumps[0]


def test_energy_and_gradients_are_smooth_from_contact_to_far_away():
    """The energy along a scan equals the integral of its gradient, and neighbouring gradients differ little."""
    potential, distances = make(order=3), np.arange(1.5, 12.0, 0.01)
    n = len(distances)
    mm_positions = [[[0.0, distance, 0.0]] for distance in distances]
    result = potential.compute([NUMBERS] * n, [WATER] * n, mm_positions, [[0.5]] * n)
    gradients = np.array([gradient[0, 1] for gradient in result["mm_gradients"]])
    integral = np.sum(0.005 * (gradients[1:] + gradients[:-1]))
    assert result["energy"][-1] - result["energy"][0] == pytest.approx(integral, rel=1e-3)
    curvature = np.abs(np.diff(gradients, 2))
    assert curvature[distances[1:-1] > NEAR - 0.5].max() < 0.01 * np.abs(gradients).max()


@pytest.mark.parametrize("place", [[0.0, 3.0, 0.0], [0.0, 0.0, 0.1], [0.0, 0.0, 0.0], [0.0, 90.0, 0.0]])
def test_a_charge_of_zero_does_nothing_wherever_it_stands(random, place):
    potential, system = make(order=3), embedded(random)
    expected = potential.compute(NUMBERS, WATER, system.mm_positions, system.mm_charges)
    found = potential.compute(NUMBERS, WATER, [*system.mm_positions, place], [*system.mm_charges, 0.0])
    assert found["energy"] == pytest.approx(expected["energy"], abs=1e-9)
    np.testing.assert_allclose(found["qm_gradients"], expected["qm_gradients"], atol=1e-9)
    np.testing.assert_allclose(found["mm_gradients"], [*expected["mm_gradients"], [0.0, 0.0, 0.0]], atol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_forces_and_torques_cancel(dtype, random):
    for shift in (0.0, 60.0):
        check_forces_and_torques(make(dtype, 3), embedded(random, shift=shift), shift, dtype)


def test_no_pair_of_far_particles_is_listed(random):
    system = embedded(random)
    graph = make().build_graph([system, system])
    distances = np.linalg.norm(system.positions[:, None] - system.mm_positions, axis=-1)
    assert len(graph.mm_senders) == 0
    assert len(graph.near_senders) == 2 * np.count_nonzero(distances < NEAR) > 0
    np.testing.assert_array_equal(graph.mm_table, [np.arange(57), np.arange(57, 114)])


def test_near_pairs_equal_a_search_over_all_pairs(random):
    positions, mm_positions = random.normal(scale=3.0, size=(9, 3)), random.uniform(-12.0, 12.0, size=(300, 3))
    distances = np.linalg.norm(positions[:, None] - mm_positions, axis=-1)
    atoms, particles = near_pairs(positions, mm_positions, 5.0)
    assert np.all(np.diff(atoms) >= 0)
    order = np.lexsort((particles, atoms))
    np.testing.assert_array_equal([atoms[order], particles[order]], np.nonzero(distances < 5.0))
    assert near_pairs(positions, mm_positions + 100.0, 5.0).shape == (2, 0)


def compare(found, expected, tolerance):
    np.testing.assert_allclose(found["energy"], expected["energy"], atol=tolerance)
    for name in ("qm_gradients", "mm_gradients", "mm_potentials", "charges", "dipole"):
        for ours, wanted in zip(found[name], expected[name], strict=True):
            np.testing.assert_allclose(ours, wanted, atol=tolerance, err_msg=name)


def test_xla_gives_the_same(random):
    potential = make(order=2)
    systems = [embedded(random), embedded(random, n_mm=9), System(NUMBERS, WATER)]
    for batch in (systems, systems[1:2], systems[2:]):
        compare(*(potential.compute_systems(batch, mm_potentials=True, xla=xla) for xla in (True, False)), 1e-8)
    assert potential.n_traces == 2


CHAIN = np.array([[1.4 * number, 0.0, 0.3 * (number % 2)] for number in range(40)])


def around_chain(random, n_mm=4000):
    """Charges around a chain of atoms 55 angstrom long, to 90 angstrom from its middle."""
    places = random.uniform(-90.0, 90.0, size=(3 * n_mm, 3)) + CHAIN.mean(axis=0)
    distances = np.linalg.norm(places[:, None] - CHAIN, axis=-1).min(axis=1)
    return places[distances > 2.5][:n_mm], random.normal(scale=0.5, size=n_mm)


@pytest.mark.parametrize("xla", [False, True])
def test_expansions_equal_the_direct_sums(random, monkeypatch, xla):
    """To a ten-thousandth of the largest value, for a small molecule and for one that takes several centers, beside each other."""
    potential = make(order=3, coefficient_scale=0.01)
    chain = System(np.ones(40, int), CHAIN, 0.0, *around_chain(random))
    systems = [chain, embedded(random, n_mm=300), System(NUMBERS, WATER, 0.0, *around_chain(random, 2000))]
    expected = potential.compute_systems(systems, mm_potentials=True)
    monkeypatch.setattr("amp_tf.models.computing.EXPANDED", 0)
    found = potential.compute_systems(systems, mm_potentials=True, xla=xla)
    assert (True, False, True, xla, True) in potential._compiled
    np.testing.assert_allclose(found["energy"], expected["energy"], rtol=1e-6)
    for name in ("qm_gradients", "mm_gradients", "mm_potentials"):
        for ours, wanted in zip(found[name], expected[name], strict=True):
            assert np.abs(ours - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert np.abs(found["mm_potentials"][0] - expected["mm_potentials"][0]).max() > 0.0


def test_an_atom_beside_the_center_makes_no_infinities(random, monkeypatch):
    """Particles that only fill a table stand in the middle, where a center may be: at high orders single precision overflows there."""
    carbon_dioxide = np.array([[0.0, 0.0, -1.16], [0.0, 0.0, 0.003], [0.0, 0.0, 1.16]])
    keras.utils.set_random_seed(6)
    settings = {"direct_polarization": True, "pairwise_coulomb": True, "near_cutoff": NEAR, "n_features": 8}
    potential = amp_tf.AMP(("C", "O"), 3, **settings)
    systems = [System([8, 6, 8], carbon_dioxide, 0.0, 3.0 * embedded(random, n).mm_positions, np.full(n, 0.1)) for n in (500, 100)]
    monkeypatch.setattr("amp_tf.models.computing.EXPANDED", 0)
    result = potential.compute_systems(systems, mm_potentials=True)
    assert all(np.all(np.isfinite(values)) for name in ("energy", "qm_gradients", "mm_potentials") for values in result[name])


def test_particles_are_far_from_every_center(random):
    centers, of_atom = expansion_centers(CHAIN)
    assert len(centers) > 1
    assert np.linalg.norm(CHAIN - centers[of_atom], axis=1).max() <= WIDEST_CENTER
    mm_positions, _ = around_chain(random)
    is_far = far_particles(CHAIN, mm_positions, centers, of_atom)
    assert 0 < np.count_nonzero(is_far) < len(is_far)
    for number, center in enumerate(centers):
        radius = np.linalg.norm(CHAIN[of_atom == number] - center, axis=1).max()
        assert np.linalg.norm(mm_positions[is_far] - center, axis=1).min() > 3.0 * radius
    alone, _ = expansion_centers(WATER)
    np.testing.assert_allclose(alone, [0.5 * (WATER.max(axis=0) + WATER.min(axis=0))])


def test_derivatives_by_the_weights_equal_finite_differences(random):
    """Of a loss on energies and both gradients, which takes second derivatives through the field."""
    potential, system = make(order=2, n_features=6, n_layers=2), embedded(random)
    graph = MolecularGraph(*map(tf.constant, potential.build_graph([system])))

    def loss():
        result = potential.with_gradients(graph)
        return sum(tf.reduce_sum(tf.square(result[name])) for name in ("energy", "qm_gradients", "mm_gradients"))

    layers = potential.polarization
    chosen = [layers.response.dense[0].kernel, layers.coefficients.rest.dense[-1].kernel, potential.charge_readout.dense[0].kernel]
    with tf.GradientTape() as tape:
        value = loss()
    for variable, gradient in zip(chosen, tape.gradient(value, [weight.value for weight in chosen]), strict=True):
        start, values = variable.numpy(), []
        place = np.unravel_index(np.abs(gradient).argmax(), start.shape)
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * 1e-6
            variable.assign(moved)
            values.append(float(loss()))
        variable.assign(start)
        assert float(gradient[place]) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)
