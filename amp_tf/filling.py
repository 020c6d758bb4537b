"""Pairs and MM particles added to a graph, which change nothing, so that many systems have one shape and are compiled once."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist

from amp_tf.graph import FAR_AWAY, MolecularGraph, widened
from amp_tf.systems import System


class Sizes(NamedTuple):
    """How many there are of what a graph of one system is filled up with.

    Attributes:
        neighbours: pairs of atoms, each counted once.
        mm: MM particles.
        near, mm_mm: near QM-MM pairs, and MM-MM pairs of models in which MM particles are nodes.
        mm_table, expanded_table: the widths of these tables.
    """

    neighbours: int
    mm: int
    near: int
    mm_mm: int
    mm_table: int
    expanded_table: int


def sizes_of(graph: MolecularGraph) -> Sizes:
    """The numbers of a graph of one system."""
    listed = graph.receivers, graph.mm_charges, graph.near_senders, graph.mm_mm_senders
    n_edges, *others = (len(field) for field in listed)
    return Sizes(n_edges // 2, *others, graph.mm_table.shape[1], graph.expanded_table.shape[1])


class KeptSizes:
    """Sizes that graphs are filled up to. Along a trajectory numbers come and go; a size that was compiled is kept while it fits."""

    def __init__(self):
        self._kept: dict[Hashable, Sizes] = {}

    def fitting(self, key: Hashable, needed: Sizes) -> Sizes:
        """The sizes kept under ``key`` where they hold what is needed and none is half as large again; otherwise new ones, rounded up
        (:func:`rounded_up`), and those that were too small by an eighth more, since they are likely to grow once more."""
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = Sizes(*map(rounded_up, needed))
        elif not all(_fits(*pair) for pair in zip(kept, needed, strict=True)):
            self._kept[key] = Sizes(*map(_changed, kept, needed))
        return self._kept[key]


SPARE = 16
"""So many may be filled up in vain in any case."""


def _fits(kept: int, needed: int) -> bool:
    return needed <= kept <= max(1.5 * needed, needed + SPARE)


def _changed(kept: int, needed: int) -> int:
    return kept if _fits(kept, needed) else rounded_up(needed + needed // 8 if needed > kept else needed)


def filled_graph(graph: MolecularGraph, sizes: Sizes, all_pairs: bool = True) -> MolecularGraph:
    """The graph of one system with pairs and particles added until their numbers are given ones, so that many systems have one shape.

    What is added changes no energy and no gradient: pairs at or beyond the cut-off, whose weight is zero where edges end smoothly, and MM
    particles of no charge, at least 1e4 angstrom away and as far from each other, beyond every cut-off.

    Args:
        graph: NumPy arrays, :func:`build_graph` of one system, with at most as many pairs and particles.
        sizes: neighbours at most n (n − 1) / 2; more MM particles than the graph has where near pairs are listed.
        all_pairs: whether every QM-MM pair is listed.
    """
    n_mm = sizes.mm
    receivers, senders = nearest_pairs(graph.positions, sizes.neighbours)
    mm_positions, mm_charges = filled_particles(graph.mm_positions, graph.mm_charges, n_mm)
    mm_receivers, mm_senders = np.indices((len(graph.atomic_numbers), n_mm if all_pairs else 0), dtype=np.int32).reshape(2, -1)
    graph = graph._replace(
        receivers=receivers, senders=senders, mm_positions=mm_positions, mm_charges=mm_charges, mm_system=np.zeros(n_mm, np.int32),
        mm_receivers=mm_receivers, mm_senders=mm_senders, mm_table=widened(graph.mm_table, sizes.mm_table, -1),
        expanded_table=widened(graph.expanded_table, sizes.expanded_table, -1),
    )  # fmt: skip
    return with_node_pairs(graph, sizes.near, sizes.mm_mm, n_mm - 1)


def with_node_pairs(graph: MolecularGraph, n_near: int, n_mm_mm: int, added: int) -> MolecularGraph:
    """The graph of one system, its lists of near QM-MM and of MM-MM pairs filled up to given numbers.

    The pairs that are added have ``added`` as sender, the number of an MM particle that is far from all others, and atom or particle 0 as
    receiver.
    """
    padded = {}
    for kind, size in {"near": n_near, "mm_mm": n_mm_mm}.items():
        for end, number in {"receivers": 0, "senders": added}.items():
            listed = getattr(graph, f"{kind}_{end}")
            padded[f"{kind}_{end}"] = np.pad(listed, (0, size - len(listed)), constant_values=number)
    return graph._replace(**padded)


def filled_particles(mm_positions: np.ndarray, mm_charges: np.ndarray, n_mm: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (relative to the centroid of the QM atoms) and charges with particles of no charge added, until they are ``n_mm``."""
    n_more = n_mm - len(mm_charges)
    far = np.zeros((n_more, 3), mm_positions.dtype)
    far[:, 2] = FAR_AWAY * np.arange(1, n_more + 1)
    return np.concatenate([mm_positions, far]), np.concatenate([mm_charges, np.zeros(n_more, mm_charges.dtype)])


def nearest_pairs(positions: np.ndarray, n_neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """Receivers and senders of the ``n_neighbours`` closest pairs of atoms, each pair in both directions, sorted by receiver."""
    first, second = np.triu_indices(len(positions), 1)
    nearest = np.sort(np.argsort(pdist(positions), kind="stable")[:n_neighbours])
    ends = np.concatenate([[first[nearest], second[nearest]], [second[nearest], first[nearest]]], axis=1)
    receivers, senders = ends[:, np.lexsort(ends[::-1])].astype(np.int32)
    return receivers, senders


def rounded_up(number: int) -> int:
    """The next number of a grid that grows by at most an eighth from one to the next."""
    step = max(1, 2 ** (number.bit_length() - 4))
    return -(-number // step) * step


def real_particles(graph: MolecularGraph, systems: Sequence[System]) -> np.ndarray:
    """Which MM particles of a filled graph are those of the systems, [n_mm] bool."""
    n_filled = np.bincount(graph.mm_system, minlength=len(systems))
    n_real = [len(system.mm_charges) for system in systems]
    return np.concatenate([np.arange(filled) < real for filled, real in zip(n_filled, n_real, strict=True)])
