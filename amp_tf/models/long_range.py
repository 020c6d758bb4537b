"""The Coulomb terms that AMP and GNN share (the suffix -P): Eq. 11 with MM particles, Eq. 13 among QM atoms."""

from keras import ops

from amp_tf.graph import MolecularGraph
from amp_tf.layers.edges import Edges, make_edges
from amp_tf.ops import radial, safe
from amp_tf.ops.electrostatics import coulomb_energies

PARTNERS = ("mm", "qm")
"""``"mm"``: external charges (Eqs. 10 and 11). ``"qm"``: the atoms of the same system beyond the cut-off (Eq. 13)."""


def far_edges(graph: MolecularGraph, cutoff: float, long_range_cutoff: float, n_radial: int, smooth: bool) -> Edges:
    """Pairs of QM atoms at long range.

    Each counts with 1 − f(r), f the weight of the same pair as an edge of the graph, so that the two descriptions of a pair add up to one:
    with abrupt edges f is 1 inside ``cutoff`` and the far pairs are those outside.
    """
    pairs = make_edges(graph.positions, graph.positions, graph.far_receivers, graph.far_senders, long_range_cutoff, n_radial, True)
    if not smooth:
        return pairs
    return pairs._replace(weights=pairs.weights * (1.0 - radial.cutoff_function(pairs.distances, cutoff))[:, None])


def mm_edges(graph: MolecularGraph, long_range_cutoff: float, n_radial: int) -> Edges:
    """Pairs of a QM atom (receiver) and an MM particle (sender), weighted by the smooth long-range cut-off."""
    return make_edges(graph.positions, graph.mm_positions, graph.mm_receivers, graph.mm_senders, long_range_cutoff, n_radial, True)


def coulomb_qm_mm(charges, graph: MolecularGraph, distances):
    """Eq. 11: all pairs of a QM atom and an MM particle, [n_systems], kJ/mol."""
    partners = safe.gather(graph.mm_charges, graph.mm_senders)
    pairs = coulomb_energies(safe.gather(charges, graph.mm_receivers), partners, distances)
    return safe.segment_sum(pairs, safe.gather(graph.system, graph.mm_receivers), ops.shape(graph.total_charge)[0])


def coulomb_qm_qm(charges, graph: MolecularGraph, distances, cutoff: float, smooth: bool):
    """Eq. 13: the pairs of QM atoms beyond the cut-off, each once, [n_systems], kJ/mol."""
    at_ends = (safe.gather(charges, ends) for ends in (graph.far_receivers, graph.far_senders))
    pairs = 0.5 * coulomb_energies(*at_ends, distances)
    if smooth:
        pairs = pairs * (1.0 - radial.cutoff_function(distances, cutoff))
    return safe.segment_sum(pairs, safe.gather(graph.system, graph.far_receivers), ops.shape(graph.total_charge)[0])
