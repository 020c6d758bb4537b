"""The two halves of anisotropic message passing (Eq. 8): expansion of the multipoles, messages on their interactions."""

import functools

import keras
from keras import ops

from amp_tf.layers.dense import REGISTERED, PairDense, PairPerceptron, Perceptron
from amp_tf.layers.edges import weighted
from amp_tf.ops import multipoles as multipole_ops
from amp_tf.ops import safe
from amp_tf.ops.interactions import interaction_coefficients, n_interaction_terms, projections


@REGISTERED
class RadialWeights(keras.layers.Layer):
    """φ_b: one dense layer on [one-hot_i, one-hot_j, Bessel functions] (A.2), shared by all message passing layers.

    Args:
        n_weights: size of the output (16 between QM atoms, 8 towards MM particles).
        n_elements: size of the one-hot element vector.
        n_radial: number of Bessel functions.
        with_sender: False leaves one-hot_j out (MM particles).

    Call arguments:
        one_hot: [n_atoms, n_elements].
        edges: :class:`amp_tf.layers.edges.Edges`.

    Returns:
        [n_edges, n_weights]
    """

    def __init__(self, n_weights: int, n_elements: int, n_radial: int, with_sender: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.n_weights, self.n_elements, self.n_radial, self.with_sender = n_weights, n_elements, n_radial, with_sender
        self.dense = PairDense(n_weights, n_elements, n_radial, with_sender, dtype=self.dtype_policy, name="dense")
        self.built = True

    def call(self, one_hot, edges):
        return self.dense(one_hot, edges.radial_basis, edges)

    def get_config(self):
        return super().get_config() | {
            "n_weights": self.n_weights,
            "n_elements": self.n_elements,
            "n_radial": self.n_radial,
            "with_sender": self.with_sender,
        }


@REGISTERED
class MultipoleExpansion(keras.layers.Layer):
    """M_i^k = Σ_j c_ij^k R_ij^k with c_ij = scale · φ_M(h_i, h_j, x_ij) (Eqs. 3 and 4).

    Args:
        max_order: highest order k.
        n_features: size of h and of every hidden layer.
        pair_size: size of x_ij: the radial basis in the first layer, the anisotropic features of the layer before in the others.
        coefficient_scale: the factor on the coefficients.

    Call arguments:
        features: h [n_atoms, n_features].
        pair_features: x [n_edges, pair_size].
        products: :func:`amp_tf.ops.multipoles.monomials` of the unit vectors up to max_order, [n_edges, n_monomials].
        edges: :class:`amp_tf.layers.edges.Edges`.

    Returns:
        The multipoles, packed (:mod:`amp_tf.ops.multipoles`): [n_atoms, n_components].
    """

    def __init__(self, max_order: int, n_features: int, pair_size: int, coefficient_scale: float, **kwargs):
        super().__init__(**kwargs)
        self.max_order, self.n_features, self.pair_size = max_order, n_features, pair_size
        self.coefficient_scale = coefficient_scale
        hidden = (n_features, n_features)
        self.coefficients = PairPerceptron(n_features, pair_size, hidden, max_order + 1, dtype=self.dtype_policy, name="coefficients")
        self.built = True

    def call(self, features, pair_features, products, edges):
        return expanded(self, features, pair_features, products, edges)

    def get_config(self):
        return super().get_config() | {
            "max_order": self.max_order,
            "n_features": self.n_features,
            "pair_size": self.pair_size,
            "coefficient_scale": self.coefficient_scale,
        }


def expanded(layer, features, pair_features, products, edges):
    """Σ_j c_ij^k R_ij^k, packed [n_atoms, n_components], with the coefficients c of the layer's perceptron ``coefficients`` times its
    ``coefficient_scale``; the other arguments as in :class:`MultipoleExpansion`."""
    of_monomials = functools.partial(multipole_ops.spread, max_order=layer.max_order)
    coefficients = layer.coefficients(features, pair_features, edges, transform=of_monomials)
    coefficients = layer.coefficient_scale * weighted(coefficients, edges)
    return multipole_ops.expand(coefficients, products, edges.receivers, ops.shape(features)[0])


def anisotropic_features(radial_weights, projections_i: tuple, projections_j: tuple):
    """a_ij = φ_b ∘ G(r_ij, M_i, M_j) (Eq. 7): every radial weight times every interaction coefficient.

    Args:
        radial_weights: [n_edges, n_weights].
        projections_i, projections_j: of the moments at the two ends, :func:`amp_tf.ops.interactions.projections`.

    Returns:
        [n_edges, n_weights * n_terms]
    """
    return outer_features(radial_weights, interaction_coefficients(projections_i, projections_j))


def outer_features(radial_weights, coefficients):
    """Every radial weight [n_edges, n_weights] times every interaction coefficient [n_edges, n_terms]: [n_edges, n_weights * n_terms]."""
    size = radial_weights.shape[-1] * coefficients.shape[-1]
    return ops.reshape(radial_weights[:, :, None] * coefficients[:, None, :], (-1, size))


@REGISTERED
class AnisotropicMessagePassing(keras.layers.Layer):
    """Messages on the interaction of the multipoles (Eqs. 7 and 8): h_i ← h_i + φ_h(h_i, Σ_j φ_e(h_i, h_j, a_ij), ‖M_i‖, one-hot_i).

    Args:
        max_order: highest multipole order k.
        n_features: size of h and of every hidden layer.
        n_elements: size of the one-hot element vector.
        n_radial_weights: size of the radial weights.
        norm_width: width of the smooth norms of the multipoles.

    Call arguments:
        features: h [n_atoms, n_features].
        one_hot: [n_atoms, n_elements].
        multipoles: packed, [n_atoms, n_components].
        radial_weights: φ_b [n_edges, n_radial_weights].
        edges: :class:`amp_tf.layers.edges.Edges`.

    Returns:
        (new h [n_atoms, n_features], a [n_edges, n_radial_weights * n_terms(max_order)])
    """

    def __init__(self, max_order: int, n_features: int, n_elements: int, n_radial_weights: int, norm_width: float, **kwargs):
        super().__init__(**kwargs)
        self.norm_width = norm_width
        self.max_order, self.n_features, self.n_elements, self.n_radial_weights = max_order, n_features, n_elements, n_radial_weights
        hidden = (n_features, n_features)
        pair_size = n_radial_weights * n_interaction_terms(max_order)
        self.message = PairPerceptron(n_features, pair_size, hidden, dtype=self.dtype_policy, name="message")
        self.update = Perceptron(2 * n_features + max_order + 1 + n_elements, hidden, dtype=self.dtype_policy, name="update")
        self.built = True

    def call(self, features, one_hot, multipoles, radial_weights, edges):
        at_both_ends = safe.gather(multipoles, ops.stack([edges.receivers, edges.senders], axis=1))
        of_both_ends = projections(at_both_ends, edges.unit_vectors[:, None])
        pair_features = anisotropic_features(
            radial_weights, *zip(*(ops.unstack(moments, 2, axis=1) for moments in of_both_ends), strict=True)
        )
        messages = weighted(self.message(features, pair_features, edges), edges)
        received = safe.segment_sum(messages, edges.receivers, ops.shape(features)[0])
        inputs = ops.concatenate([features, received, multipole_ops.norms(multipoles, self.norm_width), one_hot], axis=-1)
        return features + self.update(inputs), pair_features

    def get_config(self):
        return super().get_config() | {
            "max_order": self.max_order,
            "n_features": self.n_features,
            "n_elements": self.n_elements,
            "n_radial_weights": self.n_radial_weights,
            "norm_width": self.norm_width,
        }
