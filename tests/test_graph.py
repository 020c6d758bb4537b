"""The graph record: neighbours, concatenation, and what bad molecules are told."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from amp_tf.errors import InputError
from amp_tf.graph import MolecularGraph, build_graph, join_graphs
from amp_tf.neighbours import near_pairs, pairs, shortest_images
from amp_tf.systems import System


def brute_force_pairs(positions, cutoff):
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    return {(i, j) for i, j in zip(*np.nonzero((distances < cutoff) & ~np.eye(len(positions), dtype=bool)), strict=True)}


def random_system(random, n_atoms, n_mm=0):
    mm = {"mm_positions": random.uniform(10, 20, size=(n_mm, 3)), "mm_charges": random.normal(size=n_mm)} if n_mm else {}
    return System(random.choice([1, 8], size=n_atoms), random.uniform(0, 6, size=(n_atoms, 3)), **mm)


@pytest.mark.parametrize("cutoff", [0.5, 2.0, 4.0, 20.0])
def test_edges_equal_a_search_over_all_pairs(random, cutoff):
    system = random_system(random, 30)
    graph = build_graph([system], cutoff)
    found = list(zip(graph.receivers.tolist(), graph.senders.tolist(), strict=True))
    assert len(found) == len(set(found))
    assert set(found) == brute_force_pairs(system.positions, cutoff)
    assert np.all(np.diff(graph.receivers) >= 0)


def lattices_and_corners():
    """Points of all octants, on the cut-off's grid, in a plane, on a line, far apart, and in one corner of a wide box."""
    random = np.random.default_rng(7)
    yield from (random.uniform(-8.0, 8.0, size=(n, 3)) for n in (2, 30, 50, 51, 200))
    for signs in np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T:
        yield signs * random.uniform(0.0, 12.0, size=(80, 3)) + 1e3 * signs
    grid = 2.0 * np.array(np.meshgrid(*[np.arange(4)] * 3)).reshape(3, -1).T
    yield from (grid, -grid, grid + 1e-12, grid * [1.0, 1.0, 0.0] + 0.1 * random.normal(size=grid.shape), grid * [1.0, 1e-9, 1e-9] * 0.3)
    yield np.array([[0.0, 0.0, 0.0], [3000.0, 0.0, 0.0], [0.0, 3000.0, 0.0]])
    yield np.concatenate([random.uniform(0, 6, size=(60, 3)), [[1e6, 0.0, 0.0], [-1e4, 1e4, 1e4]]])


@pytest.mark.parametrize("cutoff", [2.0, 4.0, 1000.0])
def test_pairs_equal_a_search_over_all_pairs_wherever_points_lie(cutoff):
    for points in lattices_and_corners():
        receivers, senders = pairs(points, cutoff)
        distances = cdist(points, points)
        np.fill_diagonal(distances, np.inf)
        sure = np.abs(distances - cutoff) > 1e-9
        found = np.zeros(distances.shape, dtype=int)
        np.add.at(found, (receivers, senders), 1)
        np.testing.assert_array_equal(found[sure], (distances < cutoff)[sure])
        assert np.all(np.diff(receivers * len(points) + senders) > 0)


@pytest.mark.parametrize("cutoff", [2.0, 1000.0])
def test_near_pairs_equal_a_search_over_all_pairs(random, cutoff):
    for points in lattices_and_corners():
        atoms, particles = points[: len(points) // 2], points[len(points) // 2 :] + 0.1
        found = np.zeros((len(atoms), len(particles)), dtype=int)
        np.add.at(found, tuple(near_pairs(atoms, particles, cutoff)), 1)
        distances = cdist(atoms, particles)
        sure = np.abs(distances - cutoff) > 1e-9
        np.testing.assert_array_equal(found[sure], (distances < cutoff)[sure])


def test_more_pairs_than_fit_in_memory_are_refused(random, monkeypatch):
    monkeypatch.setattr("amp_tf.neighbours.MAXIMUM_PAIRS", 1000)
    points = random.uniform(0, 5, size=(60, 3))
    for search in (lambda: pairs(points, 1000.0), lambda: near_pairs(points, points, 1000.0)):
        with pytest.raises(InputError, match=r"3\d* pairs of particles are closer than the cut-off of 1000 angstrom"):
            search()
    assert len(pairs(points, 0.5)[0]) < 1000


def test_long_lists_of_pairs_are_refused_before_they_are_made(random, monkeypatch):
    monkeypatch.setattr("amp_tf.graph.MAXIMUM_LONG_RANGE", 100)
    monkeypatch.setattr("amp_tf.graph.MAXIMUM_MM", 100)
    with pytest.raises(InputError, match="144 pairs of atoms interact at long range, more than 100, too many"):
        build_graph([random_system(random, 12)], 3.0, far_from=3.0)
    with pytest.raises(InputError, match=r"120 pairs of an atom and an MM particle are listed .near_cutoff lists fewer."):
        build_graph([random_system(random, 12, 10)], 3.0)
    build_graph([random_system(random, 12, 10)], 3.0, near_cutoff=3.0)


def test_more_pairs_than_a_model_can_hold_are_refused():
    """4096 atoms, all within the cut-off: sixteen kilobytes a pair would be 270 GB."""
    grid = 1.1 * np.stack(np.indices([16] * 3), axis=-1).reshape(-1, 3)
    with pytest.raises(InputError, match="16777216 pairs of particles are closer than the cut-off of 1000 angstrom, too many"):
        build_graph([System(np.ones(4096, dtype=int), grid)], 1000.0)


def test_far_pairs_are_the_others(random):
    system = random_system(random, 12)
    graph = build_graph([system], 3.0, far_from=3.0)
    edges, far = (
        set(zip(a.tolist(), b.tolist(), strict=True))
        for a, b in ((graph.receivers, graph.senders), (graph.far_receivers, graph.far_senders))
    )
    assert edges.isdisjoint(far)
    assert len(edges) + len(far) == 12 * 11


def test_pairs_of_mm_nodes_equal_a_search_over_all_pairs(random):
    system = random_system(random, 4, 9)
    system = System(system.atomic_numbers, system.positions, 0.0, system.mm_positions - 4.0, system.mm_charges)
    graph = build_graph([system], 9.0, mm_nodes=True)
    expected = brute_force_pairs(np.concatenate([system.positions, system.mm_positions]), 9.0)
    near = set(zip(graph.near_receivers.tolist(), (graph.near_senders + 4).tolist(), strict=True))
    among_mm = set(zip((graph.mm_mm_receivers + 4).tolist(), (graph.mm_mm_senders + 4).tolist(), strict=True))
    among_qm = set(zip(graph.receivers.tolist(), graph.senders.tolist(), strict=True))
    assert near | {(j, i) for i, j in near} | among_mm | among_qm == expected
    assert len(near)
    assert len(among_mm)


def test_systems_are_concatenated_with_shifted_numbers(random):
    systems = [random_system(random, 5, 2), random_system(random, 3), random_system(random, 4, 3)]
    graph = build_graph(systems, 4.0, "float32", far_from=4.0, mm_nodes=True)
    np.testing.assert_array_equal(graph.system, [0] * 5 + [1] * 3 + [2] * 4)
    np.testing.assert_array_equal(graph.mm_system, [0] * 2 + [2] * 3)
    for receivers, senders in ((graph.receivers, graph.senders), (graph.far_receivers, graph.far_senders)):
        np.testing.assert_array_equal(graph.system[receivers], graph.system[senders])
    np.testing.assert_array_equal(graph.system[graph.mm_receivers], graph.mm_system[graph.mm_senders])
    assert len(graph.mm_receivers) == 5 * 2 + 4 * 3
    assert graph.positions.dtype == np.float32
    assert graph.receivers.dtype == np.int32
    singles = join_graphs([build_graph([system], 4.0, far_from=4.0, mm_nodes=True) for system in systems], "float32")
    for name, together, apart in zip(MolecularGraph._fields, graph, singles, strict=True):
        np.testing.assert_array_equal(together, apart, err_msg=name)


def test_positions_are_centred_before_they_lose_digits(random):
    system = random_system(random, 6)
    far_away = System(system.atomic_numbers, system.positions + 1e4)
    near, far = (build_graph([entry], 3.0, "float32").positions for entry in (system, far_away))
    np.testing.assert_allclose(near, far, atol=1e-6)


WATER_POSITIONS = np.array([[0.0, 0, 0], [0.76, 0, -0.59], [-0.76, 0, -0.59]])
WATER = {"atomic_numbers": np.array([8, 1, 1]), "positions": WATER_POSITIONS}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"positions": np.array([[0.0, 0, 0], [np.nan, 0, 0], [0, 0, 1.0]])}, r"position of atom 1 \(H\) is NaN"),
        ({"positions": np.array([[0.0, 0, 0], [np.inf, 0, 0], [0, 0, 1.0]])}, "is NaN or infinite"),
        ({"positions": np.array([[0.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]])}, "atoms 1 and 2 lie on one point"),
        ({"positions": np.zeros((3, 3))}, "atoms 0 and [12] lie on one point"),
        ({"positions": np.zeros((2, 3))}, r"shape \[2, 3\], expected \[3, 3\]"),
        ({"positions": np.zeros(9)}, "positions have shape"),
        ({"positions": np.array([["a"] * 3] * 3)}, "positions must be real numbers"),
        ({"atomic_numbers": np.array([8.0, 1.0, 1.0])}, "positive integers"),
        ({"atomic_numbers": np.array([8, 1, 0])}, "positive integers"),
        ({"atomic_numbers": np.array([], dtype=int), "positions": np.zeros((0, 3))}, "at least one atom"),
        ({"total_charge": np.nan}, "total_charge holds NaN"),
        ({"total_charge": np.zeros(1)}, "total_charge must be one number"),
        ({"positions": WATER_POSITIONS * 1j}, "positions must be real numbers"),
        ({"positions": [[0.0, 0, 0], [1.0, 0]]}, "positions must be an array of numbers"),
        ({"positions": WATER_POSITIONS * 1e6}, "spread over more than 10000 angstrom"),
        ({"mm_positions": WATER_POSITIONS[1:2], "mm_charges": np.ones(1)}, r"MM particle 0 is 0\.000 angstrom from QM atom 1"),
        ({"positions": WATER_POSITIONS + 1e10}, r"atom 1 \(H\) is too far from the origin"),
        ({"total_charge": 1e30}, "none of a molecule"),
        ({"mm_positions": [[0.0, 5.0, 0.0], [1e20, 0.0, 0.0]], "mm_charges": [1.0, 1.0]}, "MM particle 1 is more than 1e\\+06 angstrom"),
        ({"mm_positions": [[0.0, 5.0, 0.0], [9.0, 0.0, 0.0]], "mm_charges": [1.0, -1e30]}, "MM particle 1 has a charge of -1e\\+30 e"),
        ({"mm_positions": np.zeros((2, 3))}, "come together"),
        ({"mm_positions": np.zeros((2, 3)), "mm_charges": np.zeros(3)}, r"must be \[n_mm, 3\] and \[n_mm\]"),
        ({"mm_positions": np.zeros((1, 3)), "mm_charges": np.array([np.nan])}, "mm_charges holds NaN"),
    ],
)
def test_bad_systems_get_one_clear_sentence(change, sentence):
    with pytest.raises(InputError, match=sentence):
        System(**WATER | change)


def test_an_empty_batch_is_refused():
    with pytest.raises(InputError, match="give at least one"):
        build_graph([], 3.0)


@pytest.mark.parametrize("cell", [np.diag([7.0, 9.0, 8.0]), np.diag([7.0, 9.0, 8.0]) + np.eye(3, k=-1) * 0.5], ids=["straight", "oblique"])
def test_shortest_images_are_those_of_a_search_over_all(cell, random):
    vectors = random.uniform(-15.0, 15.0, size=(50, 3))
    shifts = np.indices((7, 7, 7)).reshape(3, -1).T - 3.0
    images = vectors[:, None] + shifts @ cell
    expected = np.take_along_axis(images, np.linalg.norm(images, axis=-1).argmin(axis=1)[:, None, None], axis=1)[:, 0]
    np.testing.assert_allclose(shortest_images(vectors, cell), expected, atol=1e-12)
