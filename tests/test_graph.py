"""The graph record: neighbours, concatenation, and what bad molecules are told."""

import numpy as np
import pytest

from amp_tf.errors import InputError
from amp_tf.graph import MolecularGraph, System, build_graph, join_graphs


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
