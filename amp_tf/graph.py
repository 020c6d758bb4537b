"""MolecularGraph, the one record that every model reads: neighbour search and the concatenation of systems into a batch."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from amp_tf.errors import InputError
from amp_tf.neighbours import expansion_centers, far_particles, near_pairs, pairs, particles_around, require_few
from amp_tf.systems import MINIMUM_MM_DISTANCE, System

FAR_AWAY = 1e4
"""How far from the atoms and from each other MM particles of no charge are put that only fill an array, angstrom."""


MAXIMUM_LONG_RANGE, MAXIMUM_MM = 10_000_000, 50_000_000
"""No more pairs of atoms at long range, and of atoms with MM particles, are listed for a system."""


class MolecularGraph(NamedTuple):
    """A batch of systems, concatenated and not padded. Fields are NumPy arrays or tensors; floats in the precision of the model.

    A pair is (receiver i, sender j); sums run over senders into receivers. Pair lists of QM atoms are sorted by receiver, but for pairs
    that only fill them up. Positions are relative to the centroid of the QM atoms of their system, so that single precision is enough far
    from the origin.
    """

    positions: Any
    """[n_atoms, 3], angstrom."""
    atomic_numbers: Any
    """[n_atoms], int32."""
    system: Any
    """[n_atoms], int32: the system an atom belongs to, rising from 0."""
    receivers: Any
    """[n_edges], int32: atom i of the pairs closer than the cut-off."""
    senders: Any
    """[n_edges], int32: atom j of these pairs; both (i, j) and (j, i) are there."""
    total_charge: Any
    """[n_systems], e."""
    far_receivers: Any
    """[n_far], int32: atom i of the QM pairs that interact at long range (Eq. 13); empty where the model has no such term."""
    far_senders: Any
    """[n_far], int32: atom j of these pairs; both (i, j) and (j, i) are there."""
    mm_positions: Any
    """[n_mm, 3], angstrom."""
    mm_charges: Any
    """[n_mm], e."""
    mm_system: Any
    """[n_mm], int32."""
    mm_receivers: Any
    """[n_mm_pairs], int32: the QM atom of a QM-MM pair; all pairs, or none where the model lists near pairs and reads tables instead."""
    mm_senders: Any
    """[n_mm_pairs], int32: the MM particle of this pair."""
    near_receivers: Any
    """[n_near], int32: the QM atom of a QM-MM pair closer than the cut-off of the messages, where MM particles are nodes of the model, or
    closer than the near cut-off, where it has one; empty otherwise."""
    near_senders: Any
    """[n_near], int32: the MM particle of this pair."""
    mm_mm_receivers: Any
    """[n_mm_mm], int32: MM particle i of the MM-MM pairs closer than the cut-off; empty where MM particles are no nodes of the model."""
    mm_mm_senders: Any
    """[n_mm_mm], int32: MM particle j of these pairs; both (i, j) and (j, i) are there."""
    atom_table: Any
    """[n_systems, most atoms], int32: the atoms of each system, filled up with −1."""
    mm_table: Any
    """[n_systems, most particles], int32: the MM particles of each system, but those of ``expanded_table``, filled up with −1."""
    expanded_table: Any
    """[n_systems, most particles], int32: the MM particles of each system whose field is expanded about centers, filled up with −1."""
    centers: Any
    """[n_systems, most centers, 3], angstrom: of the expansions."""
    center_of_atom: Any
    """[n_atoms], int32: the center of each atom, numbered within its system."""


TABLES = ("atom_table", "mm_table", "expanded_table")
"""The fields that list the members of each system."""

GRAPH_SHAPES = MolecularGraph(
    **dict.fromkeys(MolecularGraph._fields, (None,))
    | dict.fromkeys(("positions", "mm_positions"), (None, 3))
    | dict.fromkeys(TABLES, (None, None))
    | {"centers": (None, None, 3)}
)
"""The shape of each field of :class:`MolecularGraph`; None is a size that changes from batch to batch."""

FLOAT_FIELDS = frozenset({"positions", "total_charge", "mm_positions", "mm_charges", "centers"})

GRADIENTS = {"qm_gradients": "positions", "mm_gradients": "mm_positions", "mm_potentials": "mm_charges"}
"""Derivatives of the energy by name: the field of the graph that they are taken by."""

ATOM_INDICES = ("receivers", "senders", "far_receivers", "far_senders", "mm_receivers", "near_receivers")
"""The fields that number QM atoms."""

MM_INDICES = ("mm_senders", "near_senders", "mm_mm_receivers", "mm_mm_senders")
"""The fields that number MM particles."""


def build_graph(
    systems: Sequence[System], cutoff: float, float_dtype: str = "float64", far_from: float | None = None, mm_nodes: bool = False,
    near_cutoff: float | None = None, expands: bool = False,
) -> MolecularGraph:  # fmt: skip
    """Find the neighbours of each system and concatenate the systems into one graph of NumPy arrays.

    Args:
        systems: at least one.
        cutoff: pairs of QM atoms closer than this are edges, angstrom.
        float_dtype: ``"float32"`` or ``"float64"``, of the floating-point fields.
        far_from: list the pairs of QM atoms at or beyond this distance as far pairs (Eq. 13), angstrom; None lists none.
        mm_nodes: list the QM-MM and MM-MM pairs closer than the cut-off too, for models whose graph MM particles are part of.
        near_cutoff: list the pairs of a QM atom and an MM particle that are closer than this as near pairs, angstrom; None lists every
            pair of a QM atom and an MM particle of its system.
        expands: list the particles that are far from all atoms for expansions about centers.
    """
    return join_graphs([_system_graph(system, cutoff, far_from, mm_nodes, near_cutoff, expands) for system in systems], float_dtype)


def join_graphs(graphs: Sequence[MolecularGraph], float_dtype: str = "float64") -> MolecularGraph:
    """Concatenate graphs of NumPy arrays, shifting the numbers of atoms, MM particles and systems; one graph alone keeps its arrays.

    Raises:
        InputError: if there is no graph.
    """
    if not graphs:
        raise InputError("there is no system to compute: give at least one.")
    if len(graphs) == 1:  # at every step of dynamics
        return _of_dtypes(graphs[0]._asdict(), float_dtype)
    parts = []
    n_atoms = n_mm = n_systems = 0
    for graph in graphs:
        shifts = dict.fromkeys(ATOM_INDICES, n_atoms) | dict.fromkeys(MM_INDICES, n_mm) | {"system": n_systems, "mm_system": n_systems}
        shifted = {name: getattr(graph, name) + shift for name, shift in shifts.items()}
        firsts = {"atom_table": n_atoms, "mm_table": n_mm, "expanded_table": n_mm}
        shifted |= {name: np.where(getattr(graph, name) < 0, -1, getattr(graph, name) + first) for name, first in firsts.items()}
        parts.append(graph._replace(**shifted))
        n_atoms += len(graph.atomic_numbers)
        n_mm += len(graph.mm_charges)
        n_systems += len(graph.total_charge)
    fillers = dict.fromkeys(TABLES, -1) | {"centers": 0.0}
    columns = {name: [getattr(part, name) for part in parts] for name in MolecularGraph._fields}
    joined = {name: np.concatenate(_of_one_width(arrays, fillers[name]) if name in fillers else arrays) for name, arrays in columns.items()}
    return _of_dtypes(joined, float_dtype)


def _of_dtypes(fields: Mapping[str, np.ndarray], float_dtype: str) -> MolecularGraph:
    return MolecularGraph(
        **{name: array.astype(float_dtype if name in FLOAT_FIELDS else "int32", copy=False) for name, array in fields.items()}
    )


def _of_one_width(arrays: Sequence[np.ndarray], filler: float) -> list[np.ndarray]:
    """The arrays [n, width, ...] filled up to the largest width."""
    width = max(array.shape[1] for array in arrays)
    return [widened(array, width, filler) for array in arrays]


def widened(array: np.ndarray, width: int, filler: float) -> np.ndarray:
    """The array [n, m, ...] as [n, width, ...], filled up."""
    added = [(0, 0), (0, width - array.shape[1])] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, added, constant_values=filler)


def count_neighbours(positions: np.ndarray, cutoff: float) -> int:
    """Pairs of atoms within the cut-off, each counted once."""
    return int(np.count_nonzero(pdist(positions) <= cutoff))


def off_atoms(system: System) -> np.ndarray:
    """The positions of the MM particles [n_mm, 3], angstrom; those of no charge within 0.5 angstrom of an atom are put far away."""
    zero = np.flatnonzero(system.mm_charges == 0.0)
    zero = zero[particles_around(system.positions, system.mm_positions[zero], MINIMUM_MM_DISTANCE)]
    if not len(zero):
        return system.mm_positions
    on_atom = zero[cKDTree(system.positions).query(system.mm_positions[zero])[0] < MINIMUM_MM_DISTANCE]
    positions = system.mm_positions.copy()
    positions[on_atom, 2] -= FAR_AWAY * np.arange(1, len(on_atom) + 1)
    return positions


def _system_graph(
    system: System, cutoff: float, far_from: float | None, mm_nodes: bool, near_cutoff: float | None, expands: bool
) -> MolecularGraph:
    center, mm_positions = system.positions.mean(axis=0), off_atoms(system)
    n_atoms, n_mm = len(system.atomic_numbers), len(system.mm_charges)
    receivers, senders = pairs(system.positions, cutoff)
    far = np.zeros((0, 2), dtype=int)
    if far_from is not None:
        require_few(n_atoms**2, MAXIMUM_LONG_RANGE, "atoms interact at long range")
        distances = np.linalg.norm(system.positions[:, None] - system.positions[None], axis=-1)
        far = np.argwhere((distances >= far_from) & ~np.eye(n_atoms, dtype=bool))
    near, mm_mm = np.zeros((2, 0), dtype=int), np.zeros((2, 0), dtype=int)
    if mm_nodes and n_mm:
        ends = np.stack(pairs(np.concatenate([system.positions, mm_positions]), cutoff))
        near = ends[:, (ends[0] < n_atoms) & (ends[1] >= n_atoms)] - [[0], [n_atoms]]
        mm_mm = ends[:, np.all(ends >= n_atoms, axis=0)] - n_atoms
    elif near_cutoff is not None and n_mm:
        near = near_pairs(system.positions, mm_positions, near_cutoff)
    listed = n_mm if near_cutoff is None else 0
    require_few(n_atoms * listed, MAXIMUM_MM, "an atom and an MM particle are listed (near_cutoff lists fewer)")
    centers, center_of_atom, is_far = center[None], np.zeros(n_atoms, dtype=int), np.zeros(n_mm, dtype=bool)
    if expands:
        centers, center_of_atom = expansion_centers(system.positions)
        is_far = far_particles(system.positions, mm_positions, centers, center_of_atom)
    return MolecularGraph(
        positions=system.positions - center,
        atomic_numbers=system.atomic_numbers,
        system=np.zeros(n_atoms, dtype=int),
        receivers=receivers,
        senders=senders,
        total_charge=np.array([system.total_charge]),
        far_receivers=far[:, 0],
        far_senders=far[:, 1],
        mm_positions=mm_positions - center,
        mm_charges=system.mm_charges,
        mm_system=np.zeros(n_mm, dtype=int),
        mm_receivers=np.repeat(np.arange(n_atoms), listed),
        mm_senders=np.tile(np.arange(listed), n_atoms),
        near_receivers=near[0],
        near_senders=near[1],
        mm_mm_receivers=mm_mm[0],
        mm_mm_senders=mm_mm[1],
        atom_table=np.arange(n_atoms)[None],
        mm_table=np.flatnonzero(~is_far)[None],
        expanded_table=np.flatnonzero(is_far)[None],
        centers=(centers - center)[None],
        center_of_atom=center_of_atom,
    )
