"""Batches and splits: every frame once, gathering equals concatenation, the stream depends on seed and step alone."""

import numpy as np
import pytest

import amp_tf
from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.pipeline import Frames, GraphBatches
from amp_tf.data.reference_data import FrameGroup, Provenance
from amp_tf.data.splits import Split
from amp_tf.errors import DataFileError, InputError
from amp_tf.graph import MolecularGraph
from amp_tf.systems import System


@pytest.fixture
def potential():
    return amp_tf.AMP(
        ("H", "O"), max_order=1, n_layers=1, n_features=4, dtype="float64", pairwise_coulomb=True, atomic_energies={"O": 100.0}
    )


@pytest.fixture
def frames(random):
    systems = []
    for n_atoms, n_mm in ((3, 2), (5, 0), (4, 3), (2, 1)):
        mm = {"mm_positions": random.uniform(10, 20, size=(n_mm, 3)), "mm_charges": random.normal(size=n_mm)} if n_mm else {}
        systems.append(System(random.choice([1, 8], size=n_atoms), random.uniform(0, 4, size=(n_atoms, 3)), 1.0, **mm))
    gradients = [random.normal(size=system.positions.shape) for system in systems]
    mm_gradients = [random.normal(size=system.mm_positions.shape) for system in systems]
    return Frames(systems, random.normal(size=4), gradients, mm_gradients)


def test_a_gathered_batch_equals_the_graph_of_its_systems(potential, frames):
    order = np.array([2, 0, 1, 2])
    graph, labels = GraphBatches(potential, frames, ("energy", "qm_gradients", "mm_gradients")).batch(order)
    expected = potential.build_graph([frames.systems[index] for index in order])
    for name, found, wanted in zip(MolecularGraph._fields, graph, expected, strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=name)
        assert np.array(found).dtype == wanted.dtype, name
    oxygens = np.array([np.count_nonzero(frames.systems[index].atomic_numbers == 8) for index in order])
    np.testing.assert_allclose(labels["energy"], frames.energies[order] - 100.0 * oxygens, atol=1e-12)
    np.testing.assert_array_equal(labels["qm_gradients"], np.concatenate([frames.qm_gradients[index] for index in order]))
    np.testing.assert_array_equal(labels["mm_gradients"], np.concatenate([frames.mm_gradients[index] for index in order]))


@pytest.mark.parametrize("one_shape", [False, True])
def test_batches_read_from_the_file_equal_those_held_in_memory(random, tmp_path, monkeypatch, one_shape):
    """Also in training order, in which the reading runs in the background."""
    counts = (4, 0, 6, 3)
    group = FrameGroup(
        "water", np.array([8, 1, 1]), random.uniform(-1, 1, size=(4, 3, 3)), random.normal(size=4), random.normal(size=(4, 3, 3)),
        np.concatenate([[0], np.cumsum(counts)]), random.uniform(5, 9, size=(13, 3)), random.normal(size=13), random.normal(size=(13, 3)),
    )  # fmt: skip
    settings = dict.fromkeys(("engine", "engine_version", "level_of_theory", "builder_command", "energy_reference"), "test")
    write_reference_data(tmp_path / "water.h5", Provenance(**settings, random_seed=0), (group,))
    labels = ("energy", "qm_gradients", "mm_gradients")
    model = amp_tf.AMP(("H", "O"), max_order=1, n_layers=1, n_features=4, pairwise_coulomb=True)
    found = []
    for held in (24, 12):  # 13 particles, 24 where they are filled up
        monkeypatch.setattr("amp_tf.data.hdf5.HELD_PARTICLES", held)
        monkeypatch.setattr("amp_tf.data.pipeline.HELD_PARTICLES", held)
        data = read_reference_data(tmp_path / "water.h5")
        assert isinstance(data.groups[0].mm_positions, np.ndarray) == (held == 24)
        frames = Frames.from_reference_data(data)
        batches = GraphBatches(model, frames, labels, one_shape)
        assert (batches._held is None) == (held == 12)
        assert batches.training(2, seed=0, steps=1).element_spec == GraphBatches(model, frames, labels).training(2, 0, 1).element_spec
        found.append([*batches.training(2, seed=0, steps=6), *batches.evaluation(3), batches.batch([2, 0])])
    for (graph, values), (other_graph, other_values) in zip(*found, strict=True):
        for name, left, right in zip(MolecularGraph._fields, graph, other_graph, strict=True):
            np.testing.assert_array_equal(left, right, err_msg=name)
        for label in labels:
            np.testing.assert_array_equal(values[label], other_values[label], err_msg=label)


def test_frames_that_are_read_as_needed_can_be_cut(water_dimer_file):
    frames = Frames.from_reference_data(read_reference_data(water_dimer_file))
    for some in (frames, frames[np.arange(5, 15)]):
        np.testing.assert_array_equal([system.positions for system in some.systems[2:4]], [some.systems[i].positions for i in (2, 3)])


def batch_energies(dataset):
    return [tuple(np.array(labels["energy"])) for _, labels in dataset]


def test_training_batches_depend_on_seed_and_step_alone(potential, frames):
    batches = GraphBatches(potential, frames)
    whole = batch_energies(batches.training(3, seed=1, steps=8))
    assert len(whole) == 8
    assert whole == batch_energies(batches.training(3, seed=1, steps=8))
    assert whole[5:] == batch_energies(batches.training(3, seed=1, steps=8, first_step=5))
    assert whole != batch_energies(batches.training(3, seed=2, steps=8))
    generator = np.random.default_rng(1)
    order = np.concatenate([generator.permutation(4) for _ in range(6)])  # as ever, so that old runs go on as they would have
    assert np.array_equal(np.concatenate(whole), np.array(batches.batch(order)[1]["energy"]))
    drawn = [energy for batch in whole for energy in batch]
    for epoch in range(6):
        assert len(set(drawn[4 * epoch : 4 * epoch + 4])) == 4, "each frame comes once an epoch"


def test_evaluation_batches_hold_every_frame_once_in_order(potential, frames):
    batches = GraphBatches(potential, frames)
    energies = [energy for batch in batch_energies(batches.evaluation(3)) for energy in batch]
    np.testing.assert_array_equal(energies, np.array(batches.batch(np.arange(4))[1]["energy"]))


def test_labels_that_the_data_lack_are_named(potential, water_dimer_file):
    frames = Frames.from_reference_data(read_reference_data(water_dimer_file))
    with pytest.raises(DataFileError, match="lack the label 'qm_gradients'"):
        GraphBatches(potential, frames, ("energy", "qm_gradients"))


def test_an_empty_data_set_is_refused(potential, frames):
    with pytest.raises(InputError, match="data set is empty"):
        GraphBatches(potential, frames[np.array([], dtype=int)])


@pytest.mark.parametrize("kind", ["random", "ordered"])
def test_splits_are_disjoint_and_complete(kind):
    parts = Split(kind=kind, train=0.7, validation=0.2).assign(["all"] * 20)
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [14, 4, 2]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(20))
    assert (list(parts["train"]) == list(range(14))) == (kind == "ordered")


def test_every_group_is_split_in_its_own_order():
    parts = Split(kind="ordered", train=0.5, validation=0.25).assign(["a"] * 4 + ["b"] * 8)
    assert {name: list(numbers) for name, numbers in parts.items()} == {
        "train": [0, 1, 4, 5, 6, 7], "validation": [2, 8, 9], "test": [3, 10, 11]
    }  # fmt: skip


def test_the_alternating_split():
    parts = Split(kind="alternating").assign(["all"] * 5)
    np.testing.assert_array_equal(parts["train"], [0, 2, 4])
    np.testing.assert_array_equal(parts["test"], [1, 3])


def test_too_few_frames_for_a_split():
    with pytest.raises(InputError, match="too few"):
        Split(kind="ordered").assign(["all"])


NODES = {"elements": ("H", "O"), "n_features": 6, "mm_types": (-0.8, 0.4), "dtype": "float64"}
ONE_SHAPE_MODELS = {
    "AMP": lambda: amp_tf.AMP(
        ("H", "O"), max_order=2, n_features=6, direct_polarization=True, pairwise_coulomb=True, coefficient_scale=1.0, dtype="float64"
    ),
    "AMP, near and far": lambda: amp_tf.AMP(
        ("H", "O"), max_order=2, n_features=6, direct_polarization=True, pairwise_coulomb=True, coefficient_scale=1.0, near_cutoff=5.0,
        dtype="float64",
    ),
    "GNN-P": lambda: amp_tf.GNN(**NODES, pairwise_coulomb=True),
    "PaiNN": lambda: amp_tf.PaiNN(**NODES),
    "SchNet": lambda: amp_tf.SchNet(**NODES, n_filters=6),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_SHAPE_MODELS)
def test_frames_of_one_shape_give_the_same_energies_and_gradients(name, random):
    """Edges and MM particles that only fill up add nothing, exactly, and every batch has one shape."""
    potential = ONE_SHAPE_MODELS[name]()
    molecule = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [4.5, 0.0, 0.0]])  # with distances that are equal
    systems = [
        System(
            [8, 1, 1, 8], molecule * [stretch, 1.0, 1.0], 0.0, random.uniform(1.5, 4.5, size=(n_mm, 3)), random.choice([-0.8, 0.4], n_mm)
        )
        for stretch, n_mm in ((1.0, 3), (1.2, 5), (1.3, 0))
    ]
    frames = Frames(
        systems,
        random.normal(size=3),
        [random.normal(size=(4, 3)) for _ in systems],
        [random.normal(size=(len(system.mm_charges), 3)) for system in systems],
    )
    labels = ("energy", "qm_gradients", "mm_gradients")
    n_filled = 6 if potential.lists_near_pairs else 5
    plain, filled = (GraphBatches(potential, frames, labels, one_shape) for one_shape in (False, True))
    shapes = set()
    for frame in range(3):
        (graph, values), (large, large_values) = (batches.batch([frame]) for batches in (plain, filled))
        shapes.add(tuple(tuple(part.shape) for part in large))
        expected, found = potential.with_gradients(graph), potential.with_gradients(large)
        n_mm = len(systems[frame].mm_charges)
        np.testing.assert_allclose(found["energy"], expected["energy"], atol=1e-12)
        np.testing.assert_allclose(found["qm_gradients"], expected["qm_gradients"], atol=1e-12)
        np.testing.assert_allclose(found["mm_gradients"][:n_mm], expected["mm_gradients"], atol=1e-12)
        assert not np.any(found["mm_gradients"][n_mm:])
        np.testing.assert_array_equal(large_values["mm_gradients"][:n_mm], values["mm_gradients"])
        assert large_values["mm_gradients"].shape == (n_filled, 3)
    assert len(shapes) == 1
    pairs = "near_senders" if potential.lists_near_pairs else "receivers"
    assert getattr(plain.batch([0])[0], pairs).shape != getattr(plain.batch([2])[0], pairs).shape
    together, alone = (potential.with_gradients(batches.batch([1, 2, 0])[0]) for batches in (filled, plain))
    np.testing.assert_allclose(together["energy"], alone["energy"], atol=1e-12)
    np.testing.assert_allclose(together["qm_gradients"], alone["qm_gradients"], atol=1e-12)
    assert np.abs(alone["mm_gradients"]).max() > 1e-3


def test_evaluation_takes_fewer_frames_where_mm_particles_are_many(random, monkeypatch):
    monkeypatch.setattr("amp_tf.data.pipeline.MAXIMUM_PAIRS", 25)
    systems = [System([8], np.zeros((1, 3)), 0.0, random.uniform(3.0, 9.0, size=(10, 3)), np.zeros(10)) for _ in range(5)]
    potential = amp_tf.AMP(("O",), max_order=0, n_features=2, pairwise_coulomb=True)
    batches = GraphBatches(potential, Frames(systems, np.zeros(5)))
    assert [len(labels["energy"]) for _, labels in batches.evaluation(100)] == [2, 2, 1]
