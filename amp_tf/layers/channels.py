"""Anisotropic message passing with several channels of multipoles (AMP-BMS, doi 10.1021/jacs.6c00217).

Multipoles of several channels are packed (:mod:`amp_tf.ops.multipoles`) with the channel in between: [n_atoms, n_channels, n_components].
"""

from collections.abc import Sequence

import keras
from keras import ops

from amp_tf.layers.dense import REGISTERED, PairPerceptron, Perceptron
from amp_tf.layers.edges import weighted
from amp_tf.ops import multipoles as multipole_ops
from amp_tf.ops import safe
from amp_tf.ops.field import SMALLEST_DISTANCE
from amp_tf.ops.interactions import chosen_columns, interaction_coefficients, projections


@REGISTERED
class ChannelExpansion(keras.layers.Layer):
    """M_i^kc = Σ_j w_ij φ^kc(h_i, h_j, f_ij) R_ij^k for the channels c and the orders k >= 1; moments of order 0 are zero.

    Args:
        max_order: highest order k, at least 1.
        n_channels: number of channels.
        n_features: size of h and of every hidden layer.
        pair_size: size of f.

    Call arguments:
        features: h [n_atoms, n_features].
        pair_features: f [n_edges, pair_size].
        products: :func:`amp_tf.ops.multipoles.monomials` of the unit vectors up to max_order, [n_edges, n_monomials].
        edges: :class:`amp_tf.layers.edges.Edges`, weighted by w.

    Returns:
        [n_atoms, n_channels, n_components(max_order)]
    """

    def __init__(self, max_order: int, n_channels: int, n_features: int, pair_size: int, **kwargs):
        super().__init__(**kwargs)
        self.max_order, self.n_channels, self.n_features, self.pair_size = max_order, n_channels, n_features, pair_size
        self.coefficients = PairPerceptron(
            n_features, pair_size, (n_features, n_features), n_channels * max_order, output_bias=False, dtype=self.dtype_policy,
            name="coefficients",
        )  # fmt: skip
        self.built = True

    def call(self, features, pair_features, products, edges):
        coefficients = weighted(self.coefficients(features, pair_features, edges), edges)
        of_channels = ops.reshape(coefficients, (-1, self.n_channels, self.max_order))
        of_monomials = multipole_ops.spread(of_channels, self.max_order)
        return multipole_ops.expand(of_monomials, products[:, None], edges.receivers, ops.shape(features)[0])

    def get_config(self):
        return super().get_config() | {
            "max_order": self.max_order,
            "n_channels": self.n_channels,
            "n_features": self.n_features,
            "pair_size": self.pair_size,
        }


def channel_features(multipoles, terms: Sequence[int], edges):
    """Interaction coefficients of the multipoles at both ends of pairs, channel by channel: [n_edges, n_channels * n_terms].

    Args:
        multipoles: [n_atoms, n_channels, n_components].
        terms: columns of :func:`amp_tf.ops.interactions.interaction_coefficients`, in the order that is wanted.
        edges: the pairs.
    """
    at_both_ends = safe.gather(multipoles, ops.stack([edges.receivers, edges.senders], axis=1))
    of_both_ends = projections(at_both_ends, edges.unit_vectors[:, None, None])
    of_ends = zip(*([_channels_as_pairs(moments[:, end]) for end in (0, 1)] for moments in of_both_ends), strict=True)
    coefficients = chosen_columns(interaction_coefficients(*of_ends), terms)
    return ops.reshape(coefficients, (-1, multipoles.shape[1] * len(terms)))


def _channels_as_pairs(moments):
    """Projections [n_edges, n_channels, n, m] as [n_edges * n_channels, n, m]."""
    return ops.reshape(moments, (-1, *moments.shape[2:]))


@REGISTERED
class ChannelMessagePassing(keras.layers.Layer):
    """h_i ← h_i + φ_h(h_i, Σ_j w_ij φ_e(h_i, h_j, f_ij)) with f_ij = [interactions of the channels' multipoles, features of the pair].

    Args:
        n_channels: number of channels.
        terms: which interactions of each channel enter, see :func:`channel_features`.
        n_features: size of h and of every hidden layer.
        pair_size: size of the features of a pair.

    Call arguments:
        features: h [n_atoms, n_features].
        multipoles: [n_atoms, n_channels, n_components].
        pair_features: [n_edges, pair_size].
        edges: :class:`amp_tf.layers.edges.Edges`, weighted by w.

    Returns:
        (new h [n_atoms, n_features], f [n_edges, n_channels * len(terms) + pair_size])
    """

    def __init__(self, n_channels: int, terms: Sequence[int], n_features: int, pair_size: int, **kwargs):
        super().__init__(**kwargs)
        self.n_channels, self.terms, self.n_features, self.pair_size = n_channels, tuple(terms), n_features, pair_size
        hidden, size = (n_features, n_features), n_channels * len(self.terms) + pair_size
        self.message = PairPerceptron(n_features, size, hidden, dtype=self.dtype_policy, name="message")
        self.update = Perceptron(2 * n_features, hidden, dtype=self.dtype_policy, name="update")
        self.built = True

    def call(self, features, multipoles, pair_features, edges):
        interactions = ops.concatenate([channel_features(multipoles, self.terms, edges), pair_features], axis=-1)
        messages = weighted(self.message(features, interactions, edges), edges)
        received = safe.segment_sum(messages, edges.receivers, ops.shape(features)[0])
        return features + self.update(ops.concatenate([features, received], axis=-1)), interactions

    def get_config(self):
        return super().get_config() | {
            "n_channels": self.n_channels,
            "terms": self.terms,
            "n_features": self.n_features,
            "pair_size": self.pair_size,
        }


@REGISTERED
class InducedMultipoles(keras.layers.Layer):
    """M_i^k = a_i^k Σ_j k_ij^k R_ij^k with k_ij = factor · w_ij φ(b_ij) q_j / r_ij², what charges induce in atoms; order 0 is zero.

    Args:
        max_order: highest order k, at least 1.
        n_radial: size of the radial basis b.
        factor: on the coefficients.

    Call arguments:
        polarizabilities: a of the orders 1 to max_order [n_atoms, max_order].
        charges: q of the particles [n_mm], e.
        edges: atoms (receivers) and particles (senders), weighted by w: :class:`amp_tf.layers.edges.Edges`.

    Returns:
        Packed [n_atoms, n_components(max_order)].
    """

    def __init__(self, max_order: int, n_radial: int, factor: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.max_order, self.n_radial, self.factor = max_order, n_radial, factor
        self.coefficients = Perceptron(
            n_radial, (max_order,), max_order, output_bias=False, dtype=self.dtype_policy, name="coefficients"
        )  # fmt: skip
        self.built = True

    def call(self, polarizabilities, charges, edges):
        decay = safe.gather(charges, edges.senders) / ops.square(ops.maximum(edges.distances, SMALLEST_DISTANCE))
        coefficients = self.factor * decay[:, None] * weighted(self.coefficients(edges.radial_basis), edges)
        products = multipole_ops.monomials(edges.unit_vectors, self.max_order)
        of_monomials = multipole_ops.spread(coefficients, self.max_order)
        sums = multipole_ops.expand(of_monomials, products, edges.receivers, ops.shape(polarizabilities)[0])
        of_orders = ops.convert_to_tensor(multipole_ops.components_of_orders(self.max_order)[1:], dtype=sums.dtype)
        return sums * ops.matmul(polarizabilities, of_orders)

    def get_config(self):
        return super().get_config() | {"max_order": self.max_order, "n_radial": self.n_radial, "factor": self.factor}
