"""Interaction coefficients g of two sets of multipoles (Eq. 6), for any orders."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from amp_tf.ops.multipoles import highest_order, split_orders


def n_interaction_terms(order_i: int, order_j: int | None = None) -> int:
    """Number of columns of :func:`interaction_coefficients`; 2, 7, 18, 36 for equal orders 0, 1, 2, 3."""
    order_j = order_i if order_j is None else order_j
    contractions = sum((order_i - d_c + 1) * (order_j - d_c + 1) for d_c in range(min(order_i, order_j) + 1))
    excluded = 1 if order_i == order_j == 0 else 2
    return contractions - excluded + order_i + order_j + 2


def projections(multipoles, unit_vectors) -> tuple:
    """The moments contracted any number of times with the unit vector of a pair, sorted by the rank d_c that remains.

    Since the moments are traceless, a contraction with R^a equals a contractions with the unit vector.

    Args:
        multipoles: packed moments [n_pairs, ..., n_components], see :mod:`amp_tf.ops.multipoles`.
        unit_vectors: [n_pairs, ..., 3], broadcast to them.

    Returns:
        Element d_c is [n_pairs, ..., order − d_c + 1, 3**d_c], its row a M^(a + d_c) contracted a times; element 0 holds M^a·R^a.
    """
    order, leading = highest_order(multipoles), (-1, *multipoles.shape[1:-1])
    vectors = unit_vectors[..., None, :]
    contracted = [multipoles]  # a times: the components of the ranks that remain, 0 to order − a
    for _ in range(order):
        tensors = contracted[-1][..., 1:]
        size = tensors.shape[-1] // 3
        summed = ops.sum(ops.reshape(tensors, (*leading, size, 3)) * vectors, axis=-1, keepdims=True)  # keepdims: a cheaper derivative
        contracted.append(ops.reshape(summed, (*leading, size)))
    by_rank = zip(*([*split_orders(tensor), *[None] * times] for times, tensor in enumerate(contracted)), strict=True)
    return tuple(
        ops.reshape(ops.concatenate([part for part in parts if part is not None], axis=-1), (*leading, order - rank + 1, 3**rank))
        for rank, parts in enumerate(by_rank)
    )


def contractions(projections_i: tuple, projections_j: tuple) -> tuple:
    """All contractions of Eq. 6 between the two sites of each pair, sorted by the number d_c of contracted indices.

    Args:
        projections_i: :func:`projections` [n_pairs, order_i − d_c + 1, 3**d_c] of the receiver.
        projections_j: the same of the sender; its highest order may differ.

    Returns:
        Element [d_c] is [n_pairs, order_i − d_c + 1, order_j − d_c + 1], its [:, a, b] ⟨M_i^(a + d_c)·a·R^a, M_j^(b + d_c)·b·R^b⟩, that is
        (d_i, d_c, d_j) = (a, d_c, b).
    """
    found = []
    for rank, (left, right) in enumerate(zip(projections_i, projections_j, strict=False)):
        pairs = left[:, :, None] * right[:, None] if rank else left * right[:, None, :, 0]
        shape = (-1, left.shape[1], right.shape[1])
        found.append(ops.reshape(ops.sum(pairs, axis=-1, keepdims=True), shape) if rank else pairs)
    return tuple(found)


def interaction_coefficients(projections_i: tuple, projections_j: tuple):
    """G: the contractions (d_i, d_c, d_j) of Eq. 6 and the single-site projections M_i^n·R^n, M_j^n·R^n, concatenated.

    The contractions with d_c = 0 and d_i = d_j = 0, and the one of both highest orders with d_c = 0, are left out: with that choice the
    published number of parameters is met (paper, A.6). Arguments as in :func:`contractions`.

    Returns:
        [n_pairs, n_interaction_terms(order_i, order_j)]
    """
    flat = [ops.reshape(pair, (-1, pair.shape[1] * pair.shape[2])) for pair in contractions(projections_i, projections_j)]
    return ops.concatenate([flat[0][:, 1:-1], *flat[1:], projections_i[0][..., 0], projections_j[0][..., 0]], axis=-1)


def chosen_columns(coefficients, columns: Sequence[int]):
    """Some columns of ``coefficients`` [n, n_columns], in the order of ``columns``: a model with some of the interactions alone."""
    selection = np.eye(coefficients.shape[-1])[:, list(columns)]
    return ops.matmul(coefficients, ops.convert_to_tensor(selection, dtype=coefficients.dtype))
