"""Interaction coefficients g of two sets of multipoles (Eq. 6), for any orders."""

from keras import ops


def n_interaction_terms(order_i: int, order_j: int | None = None) -> int:
    """Number of columns of :func:`interaction_coefficients`; 2, 7, 18, 36 for equal orders 0, 1, 2, 3."""
    order_j = order_i if order_j is None else order_j
    contractions = sum((order_i - d_c + 1) * (order_j - d_c + 1) for d_c in range(min(order_i, order_j) + 1))
    excluded = 1 if order_i == order_j == 0 else 2
    return contractions - excluded + order_i + order_j + 2


def contractions(multipoles_i: tuple, multipoles_j: tuple, unit_vectors) -> tuple[tuple, tuple, tuple]:
    """All contractions of Eq. 6, sorted by the number d_c of indices contracted between the two sites.

    Element [d_c][:, a, b] of the first result is ⟨M_i^(a + d_c)·a·R^a, M_j^(b + d_c)·b·R^b⟩, that is (d_i, d_c, d_j) = (a, d_c, b). Since
    the multipoles are traceless, a contraction with R^a equals a contractions with the unit vector.

    Args:
        multipoles_i: over k of [n_pairs, 3, …, 3], the moments of the receiver.
        multipoles_j: the same of the sender; the number of orders may differ.
        unit_vectors: [n_pairs, 3], from i to j.

    Returns:
        (pairs, projections_i, projections_j): pairs[d_c] is [n_pairs, order_i − d_c + 1, order_j − d_c + 1]; projections_i [n_pairs,
        order_i + 1] are M_i^n·R^n, and projections_j the same of j.
    """
    sides_i, sides_j = _by_remaining_rank(multipoles_i, unit_vectors), _by_remaining_rank(multipoles_j, unit_vectors)
    pairs = tuple(ops.sum(left[:, :, None] * right[:, None], axis=-1) for left, right in zip(sides_i, sides_j, strict=False))
    return pairs, sides_i[0][..., 0], sides_j[0][..., 0]


def interaction_coefficients(multipoles_i: tuple, multipoles_j: tuple, unit_vectors):
    """G: the contractions (d_i, d_c, d_j) of Eq. 6 and the single-site projections M_i^n·R^n, M_j^n·R^n, concatenated.

    The contractions with d_c = 0 and d_i = d_j = 0, and the one of both highest orders with d_c = 0, are left out: with that choice the
    published number of parameters is met (paper, A.6). Arguments as in :func:`contractions`.

    Returns:
        [n_pairs, n_interaction_terms(order_i, order_j)]
    """
    pairs, projections_i, projections_j = contractions(multipoles_i, multipoles_j, unit_vectors)
    flat = [ops.reshape(pair, (-1, pair.shape[1] * pair.shape[2])) for pair in pairs]
    return ops.concatenate([flat[0][:, 1:-1], *flat[1:], projections_i, projections_j], axis=-1)


def _by_remaining_rank(multipoles: tuple, unit_vectors) -> list:
    """Element d_c: [n_pairs, order − d_c + 1, 3**d_c], row a is M^(a + d_c) contracted a times with the unit vector."""
    order = len(multipoles) - 1
    rows: list[list] = [[] for _ in range(order + 1)]
    for rank, moment in enumerate(multipoles):
        tensor = ops.reshape(moment, (-1, 3**rank))
        rows[rank].append(tensor)
        for remaining in range(rank - 1, -1, -1):
            tensor = ops.sum(ops.reshape(tensor, (-1, 3**remaining, 3)) * unit_vectors[:, None, :], axis=-1)
            rows[remaining].append(tensor)
    return [ops.stack(group, axis=1) for group in rows]
