"""The geometry of the pairs of atoms, computed once per evaluation and read by every layer."""

from typing import Any, NamedTuple

from keras import ops

from amp_tf.ops import radial, safe


class Edges(NamedTuple):
    """Pairs (receiver i, sender j) and what depends on their geometry alone."""

    receivers: Any
    """[n_edges], int32."""
    senders: Any
    """[n_edges], int32; for QM-MM pairs the number of the MM particle."""
    distances: Any
    """[n_edges], angstrom."""
    unit_vectors: Any
    """[n_edges, 3], from i to j."""
    radial_basis: Any
    """[n_edges, n_radial], the enveloped Bessel functions of the distance."""
    weights: Any
    """[n_edges, 1], the factor on everything that a pair contributes, or None for 1."""


def make_edges(receiver_positions, sender_positions, receivers, senders, cutoff: float, n_radial: int, smooth: bool) -> Edges:
    """Distances, directions and radial basis of pairs.

    Args:
        receiver_positions, sender_positions: [n, 3], angstrom; the same tensor for QM-QM pairs.
        receivers, senders: [n_edges], rows of these.
        cutoff: of the radial basis, angstrom.
        n_radial: number of Bessel functions.
        smooth: weight the pairs by the cut-off function, which has two continuous derivatives at ``cutoff``; otherwise they count fully.
    """
    vectors = pair_vectors(receiver_positions, sender_positions, receivers, senders)
    distances, unit_vectors = safe.length_and_direction(vectors)
    return Edges(
        receivers,
        senders,
        distances,
        unit_vectors,
        radial.bessel_basis(distances, cutoff, n_radial),
        radial.cutoff_function(distances, cutoff)[:, None] if smooth else None,
    )


def joined(*parts: Edges) -> Edges:
    """The edges of all parts, one after the other."""
    return Edges(*(None if fields[0] is None else ops.concatenate(fields) for fields in zip(*parts, strict=True)))


def pair_vectors(receiver_positions, sender_positions, receivers, senders):
    """r_j − r_i of pairs (receiver i, sender j), [n_edges, 3], angstrom."""
    return safe.gather(sender_positions, senders) - safe.gather(receiver_positions, receivers)


def weighted(values, edges: Edges):
    """``values`` [n_edges, n] times the weight of each pair."""
    return values if edges.weights is None else values * edges.weights
