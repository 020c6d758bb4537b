"""The long-range pairs and Coulomb terms that AMP and GNN share (the suffix -P): Eq. 11 with MM particles, Eq. 13 among QM atoms."""

from typing import Any

from keras import ops

from amp_tf.graph import MolecularGraph
from amp_tf.layers.edges import Edges, make_edges, pair_vectors
from amp_tf.ops import radial, safe
from amp_tf.ops.electrostatics import potentials
from amp_tf.ops.expansion import translated
from amp_tf.ops.field import field_tensors, from_blocks, in_blocks, tensors_at_atoms

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


def potentials_at_atoms(charges, graph: MolecularGraph, partners: str, cutoff: float, smooth: bool, distances=None):
    """The electrostatic potential that the partners make at each QM atom, [n_atoms], kJ/mol/e.

    Half of it among QM atoms, where every pair counts twice: Eqs. 11 and 13 are the sum of charges times these.

    Args:
        charges: of the QM atoms [n_atoms], e.
        graph: holds the pairs.
        partners: ``"mm"`` (all pairs of a QM atom and an MM particle) or ``"qm"`` (the far pairs of QM atoms).
        cutoff: of the graph's edges, angstrom.
        smooth: weight far pairs of QM atoms by :func:`far_weight`.
        distances: of the pairs [n_pairs], angstrom, if they are known.
    """
    *_, receivers, senders = ends = pair_ends(graph, partners)
    distances = safe.norm(pair_vectors(*ends)) if distances is None else distances
    partner_charges = safe.gather(graph.mm_charges if partners == "mm" else charges, senders)
    if partners == "qm":
        partner_charges = 0.5 * partner_charges * (far_weight(distances, cutoff) if smooth else 1.0)
    return potentials(partner_charges, distances, receivers, ops.shape(graph.positions)[0])


def field_at_atoms(graph: MolecularGraph, max_order: int, expansion_order: int | None = None):
    """T up to ``max_order`` of all MM charges at each atom, [n_atoms, n_monomials(max_order)]: :func:`amp_tf.ops.field.field_tensors`.

    With ``expansion_order`` the particles of the graph's ``expanded_table`` enter through their local expansion to that order.
    """
    positions = in_blocks(graph.positions, graph.atom_table)
    tensors = field_tensors(positions, *_particles(graph, graph.mm_table), max_order)
    if expansion_order is not None:
        at_centers = tensors_at_atoms(graph.centers, *_particles(graph, graph.expanded_table), expansion_order)
        centers = in_blocks(ops.cast(graph.center_of_atom, "int32")[:, None], graph.atom_table)
        offsets = positions - ops.take_along_axis(graph.centers, centers, axis=1)
        tensors += translated(ops.take_along_axis(at_centers, centers, axis=1), offsets, max_order)
    return from_blocks(tensors, graph.atom_table, ops.shape(graph.positions)[0])


def _particles(graph: MolecularGraph, table):
    """Positions and charges of the MM particles of a table, in blocks."""
    return in_blocks(graph.mm_positions, table), in_blocks(graph.mm_charges[:, None], table)
