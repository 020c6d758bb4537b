"""Electrostatic embedding (Eqs. 10 and 11): forces and torques that cancel, far charges, long-range cut-off, one trace for all sizes."""

import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

import amp_tf
from amp_tf import units
from amp_tf.errors import InputError
from amp_tf.filling import KeptSizes, Sizes, rounded_up
from amp_tf.graph import MolecularGraph
from amp_tf.systems import System
from tests.models.physics import random_rotation

WATER = np.array([[0.0, 0.0, 0.0], [0.76, 0.0, -0.59], [-0.74, 0.1, -0.6]])
NUMBERS = np.array([8, 1, 1])
BOUNDS = {"float64": 1e-8, "float32": 5e-3}
"""Of the sum of all gradients (kJ/mol/angstrom) and of the torque (kJ/mol), which themselves are tens and hundreds in size."""


def make(dtype="float64", order=2, **settings):
    keras.utils.set_random_seed(6)
    shared = {
        "direct_polarization": True,
        "pairwise_coulomb": True,
        "long_range_cutoff": 30.0,
        "coefficient_scale": 0.1,
        "n_features": 32,
        "n_layers": 2,
    }
    return amp_tf.AMP(("H", "O"), order, dtype=dtype, **shared | settings)


def embedded(random, n_mm=57, shift=0.0, charge_scale=0.5):
    directions = random.normal(size=(n_mm, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mm_positions = directions * random.uniform(2.0, 9.0, size=(n_mm, 1))
    return System(NUMBERS, WATER + shift, 0.0, mm_positions + shift, random.normal(scale=charge_scale, size=n_mm))


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("dtype", BOUNDS)
def test_forces_and_torques_cancel(dtype, order, random):
    potential = make(dtype, order)
    for shift in (0.0, 60.0):
        check_forces_and_torques(potential, embedded(random, shift=shift), shift, dtype)


def check_forces_and_torques(potential, system, shift, dtype):
    result = potential.compute_systems([system])
    gradients = np.concatenate([result["qm_gradients"][0], result["mm_gradients"][0]]).astype(float)
    positions = np.concatenate([system.positions, system.mm_positions]) - shift
    assert np.abs(gradients).max() > 10.0
    np.testing.assert_allclose(gradients.sum(axis=0), 0.0, atol=BOUNDS[dtype])
    np.testing.assert_allclose(np.cross(positions, gradients).sum(axis=0), 0.0, atol=BOUNDS[dtype])


def test_the_box_may_stand_anywhere_and_any_way(random):
    near, potential = embedded(random), make("float32")
    rotation = random_rotation(random)
    far = System(NUMBERS, near.positions @ rotation.T + 60.0, 0.0, near.mm_positions @ rotation.T + 60.0, near.mm_charges)
    energies = potential.compute_systems([near, far])["energy"]
    assert energies[0] == pytest.approx(energies[1], abs=5e-3)  # single precision of Coulomb terms that largely cancel


def test_far_charges_see_the_charges_of_the_molecule(random):
    """Beyond the long-range cut-off Eq. 11 is all that is left: the charges no longer depend on the particles, the energy is Coulomb's."""
    potential = make()
    isolated = potential.compute(NUMBERS, WATER)
    mm_positions, mm_charges = np.array([[0.0, 31.0, 3.0], [40.0, 0.0, 1.0]]), np.array([0.7, -0.4])
    result = potential.compute(NUMBERS, WATER, mm_positions, mm_charges, mm_potentials=True)
    np.testing.assert_allclose(result["charges"], isolated["charges"], atol=1e-12)
    potentials = units.COULOMB_CONSTANT * np.sum(isolated["charges"] / np.linalg.norm(mm_positions[:, None] - WATER, axis=-1), axis=1)
    np.testing.assert_allclose(result["mm_potentials"], potentials, rtol=1e-10)
    assert result["energy"] - isolated["energy"] == pytest.approx(mm_charges @ potentials, abs=1e-9)


def test_nothing_jumps_at_the_long_range_cutoff():
    potential = make(long_range_cutoff=8.0)
    results = [potential.compute(NUMBERS, WATER, [[0.0, 8.0 + offset, 0.0]], [1.0]) for offset in (-1e-6, 1e-6)]
    assert results[0]["energy"] == pytest.approx(results[1]["energy"], abs=1e-5)
    np.testing.assert_allclose(results[0]["mm_gradients"], results[1]["mm_gradients"], atol=1e-5)


def test_charges_polarize_the_multipoles_of_order_one_and_higher(random):
    potential, system = make(), embedded(random)
    isolated = potential.compute(NUMBERS, WATER)
    result = potential.compute(NUMBERS, WATER, system.mm_positions, system.mm_charges)
    np.testing.assert_array_equal(result["multipoles"][0], isolated["multipoles"][0])
    assert all(np.abs(new - old).max() > 1e-4 for new, old in zip(result["multipoles"][1:], isolated["multipoles"][1:], strict=True))
    assert np.abs(result["charges"] - isolated["charges"]).max() > 1e-4


def test_a_changing_number_of_particles_traces_once(random):
    potential = make("float32")
    for n_mm in (3, 27, 57, 30):
        system = embedded(random, n_mm)
        potential.compute(NUMBERS, WATER, system.mm_positions, system.mm_charges)
    assert potential.n_traces == 1
    potential.compute(NUMBERS, WATER, system.mm_positions, system.mm_charges, mm_potentials=True)
    assert potential.n_traces == 2


@pytest.mark.parametrize(("mm_potentials", "xla"), [(False, False), (True, True)])
def test_pairs_summed_in_chunks_give_the_same(random, monkeypatch, mm_potentials, xla):
    """Energies and all derivatives, whether the last chunk is full or not; the chunks are used, which the count of traces tells."""
    systems = [embedded(random), embedded(random, n_mm=7)]
    potential = make(order=1)
    expected = potential.compute_systems(systems, mm_potentials)
    for chunk in (10, 7):
        monkeypatch.setattr("amp_tf.models.computing.CHUNK", chunk)
        chunked = make(order=1)
        chunked.set_weights(potential.get_weights())
        found = chunked.compute_systems(systems, mm_potentials, xla)
        assert list(chunked._compiled) == [(mm_potentials, True, False, xla, True)]
        np.testing.assert_allclose(found["energy"], expected["energy"], atol=1e-9)
        for name in ("qm_gradients", "mm_gradients", "charges", *(["mm_potentials"] if mm_potentials else [])):
            for ours, wanted in zip(found[name], expected[name], strict=True):
                np.testing.assert_allclose(ours, wanted, atol=1e-8)


def test_xla_gives_the_same_and_compiles_no_trace_anew(random):
    """Filled up edges and particles add nothing; sizes within an eighth share one compilation, others share the trace."""
    potential = make(order=2)
    chain = System([8, 1, 1, 8], np.array([[0, 0, 0], [0.96, 0, 0], [-0.2, 0.9, 0], [4.6, 3.4, 0.0]]), 0.0, *particles(random, 20))
    systems = [embedded(random), embedded(random, n_mm=9), chain]
    for batch in (systems, systems[1:2], [System(NUMBERS, WATER)]):
        expected, found = (potential.compute_systems(batch, mm_potentials=True, xla=xla) for xla in (False, True))
        np.testing.assert_allclose(found["energy"], expected["energy"], atol=1e-9)
        for name in ("qm_gradients", "mm_gradients", "mm_potentials", "charges", "dipole"):
            for ours, wanted in zip(found[name], expected[name], strict=True):
                np.testing.assert_allclose(ours, wanted, atol=1e-8, err_msg=name)
    assert potential.n_traces == 2


@pytest.mark.parametrize(
    ("model", "settings"), [(amp_tf.GNN, {}), (amp_tf.GNN, {"pairwise_coulomb": True}), (amp_tf.PaiNN, {}), (amp_tf.SchNet, {})]
)
def test_xla_gives_the_same_where_mm_particles_are_nodes(model, settings, random):
    keras.utils.set_random_seed(6)
    potential = model(("H", "O"), n_features=8, mm_types=(-0.8, 0.4), dtype="float64", **settings)
    mm_positions, _ = particles(random, 20)
    systems = [
        System(NUMBERS, WATER, 0.0, mm_positions[:n_mm] * scale, random.choice([-0.8, 0.4], size=n_mm))
        for n_mm, scale in ((20, 0.3), (7, 0.4), (0, 1.0))
    ]
    for batch in (systems, systems[1:]):
        expected, found = (potential.compute_systems(batch, xla=xla) for xla in (False, True))
        assert np.abs(expected["mm_gradients"][0]).max() > 1e-3
        np.testing.assert_allclose(found["energy"], expected["energy"], atol=1e-10)
        for name in ("qm_gradients", "mm_gradients"):
            for ours, wanted in zip(found[name], expected[name], strict=True):
                np.testing.assert_allclose(ours, wanted, atol=1e-10, err_msg=name)
    assert potential.n_traces == 2


def test_only_the_derivatives_that_labels_name_are_taken(random):
    """Properties of atoms may be labels too."""
    potential, system = make(), embedded(random)
    graph = MolecularGraph(*map(tf.constant, potential.build_graph([system])))
    everything = potential.with_gradients(graph, names=("qm_gradients", "mm_gradients", "mm_potentials"))
    for names in (["qm_gradients"], ["mm_gradients", "charges"], ["charges"]):
        found = potential.predict_labels(graph, dict.fromkeys(["energy", *names]))
        assert list(found) == ["energy", *names]
        for name in names:
            np.testing.assert_allclose(found[name], everything[name], atol=1e-10)
    assert "mm_gradients" not in potential.with_gradients(graph, names=["qm_gradients"])


def particles(random, n_mm):
    directions = random.normal(size=(n_mm, 3))
    return 9.0 * directions / np.linalg.norm(directions, axis=1, keepdims=True), random.normal(size=n_mm)


def test_xla_is_refused_where_filling_up_would_change_energies():
    with pytest.raises(InputError, match="xla: this model's edges end abruptly"):
        make(message_cutoff="none").compute(NUMBERS, WATER, xla=True)


@pytest.mark.parametrize(("number", "expected"), [(0, 0), (1, 1), (15, 15), (17, 18), (57, 60), (1788, 1792), (1793, 1920)])
def test_sizes_are_rounded_up_by_at_most_an_eighth(number, expected):
    assert rounded_up(number) == expected


def test_sizes_that_come_and_go_are_kept():
    """A trajectory is compiled when its numbers first outgrow what was compiled, not each time that they return; others are apart."""
    kept, needed = KeptSizes(), Sizes(66, 1023, 70, 0, 1023, 0)
    first = kept.fitting("uracil", needed)
    assert first == Sizes(72, 1024, 72, 0, 1024, 0)
    assert kept.fitting("uracil", needed._replace(near=60, mm=900)) == first
    grown = kept.fitting("uracil", needed._replace(near=73))
    assert grown == first._replace(near=rounded_up(73 + 9))
    assert [kept.fitting("uracil", needed._replace(near=near)) for near in (70, 82, 66)] == [grown] * 3
    assert kept.fitting("another", needed) == first
    assert kept.fitting("uracil", needed._replace(mm=600)) == grown._replace(mm=rounded_up(600))


def test_a_molecule_among_changing_particles_is_filled_to_one_shape(random):
    potential, systems = make(order=2), [embedded(random, n_mm) for n_mm in (27, 20, 24, 27)]
    shapes = {tuple(field.shape for field in potential._filled_graph([system])) for system in systems}
    assert len(shapes) == 1


def test_only_models_that_can_sum_in_chunks_are_traced_for_it(random, monkeypatch):
    monkeypatch.setattr("amp_tf.models.computing.CHUNK", 10)
    potential = make(order=0)  # -P alone: no polarization
    potential.compute_systems([embedded(random)])
    assert list(potential._compiled) == [(False, False, False, False, True)]


@pytest.mark.parametrize("first", ["chunked", "whole"])
def test_threads_that_start_together_trace_what_they_ask_for(first, monkeypatch, random):
    """A tracing thread sets how pairs are summed, which must not reach another that traces at the same time."""
    monkeypatch.setattr("amp_tf.models.computing.CHUNK", 30)
    potential = make("float32", 1, n_features=4, n_layers=1)
    systems = {"chunked": embedded(random, 20), "whole": embedded(random, 4)}
    slow = potential.energy_terms

    def tracing(graph):
        time.sleep(0.1)
        terms = slow(graph)
        time.sleep(0.1)
        return terms

    potential.energy_terms = tracing
    order = [first, *(name for name in systems if name != first)] * 2
    with ThreadPoolExecutor(len(order)) as pool:
        futures = []
        for name in order:
            futures.append(pool.submit(potential.compute_systems, [systems[name]]))
            time.sleep(0.05)
        results = [future.result()["energy"][0] for future in futures]
    assert results[0] == results[2]
    assert results[1] == results[3]
    assert potential.n_traces == 2
    for (_, in_chunks, *_), (_, concrete) in potential._compiled.items():
        loops = [node for node in concrete.graph.as_graph_def().node if node.op in ("While", "StatelessWhile")]
        assert bool(loops) == in_chunks
