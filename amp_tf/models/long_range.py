"""The long-range pairs and Coulomb terms that AMP and GNN share (the suffix -P): Eq. 11 with MM particles, Eq. 13 among QM atoms."""

from typing import Any

from keras import ops

from amp_tf.graph import MolecularGraph
from amp_tf.layers.edges import Edges, make_edges
from amp_tf.ops import radial, safe
from amp_tf.ops.electrostatics import coulomb_energies

PARTNERS = ("mm", "qm")
"""``"mm"``: external charges (Eqs. 10 and 11). ``"qm"``: the atoms of the same system beyond the cut-off (Eq. 13)."""


def pair_ends(graph: MolecularGraph, partners: str) -> tuple[Any, Any, Any, Any]:
    """Positions of the receivers and of the senders, and the numbers of both, for the long-range pairs of QM atoms with their partners."""
    if partners == "mm":
        return graph.positions, graph.mm_positions, graph.mm_receivers, graph.mm_senders
    return graph.positions, graph.positions, graph.far_receivers, graph.far_senders


def long_range_edges(graph: MolecularGraph, partners: str, cutoff: float, long_range_cutoff: float, n_radial: int, smooth: bool) -> Edges:
    """Long-range pairs with their geometry, weighted by the smooth long-range cut-off and by :func:`far_weight`."""
    edges = make_edges(*pair_ends(graph, partners), long_range_cutoff, n_radial, True)
    if partners == "qm" and smooth:
        return edges._replace(weights=edges.weights * far_weight(edges.distances, cutoff)[:, None])
    return edges


def far_weight(distances, cutoff: float):
    """1 − f(r), f the weight of the same pair of QM atoms as an edge of the graph: the two descriptions of a pair add up to one.

    With abrupt edges f is 1 inside the cut-off, and the far pairs are those outside.
    """
    return 1.0 - radial.cutoff_function(distances, cutoff)


def coulomb_energy(charges, graph: MolecularGraph, partners: str, distances, cutoff: float, smooth: bool):
    """Eq. 11 (all pairs of a QM atom and an MM particle) or Eq. 13 (the far pairs of QM atoms, each once): [n_systems], kJ/mol.

    Args:
        charges: of the QM atoms [n_atoms], e.
        graph: holds the pairs.
        partners: ``"mm"`` or ``"qm"``.
        distances: of the pairs [n_pairs], angstrom.
        cutoff: of the graph's edges, angstrom.
        smooth: weight far pairs of QM atoms by :func:`far_weight`.
    """
    _, _, receivers, senders = pair_ends(graph, partners)
    partner_charges = graph.mm_charges if partners == "mm" else charges
    energies = coulomb_energies(safe.gather(charges, receivers), safe.gather(partner_charges, senders), distances)
    if partners == "qm":
        energies = 0.5 * energies * (far_weight(distances, cutoff) if smooth else 1.0)
    return safe.segment_sum(energies, safe.gather(graph.system, receivers), ops.shape(graph.total_charge)[0])
