"""Direct polarization of the multipoles by charges that are not part of the graph (Eq. 10, second sum)."""

import keras
from keras import ops

from amp_tf.layers.anisotropic import RadialWeights, expanded, outer_features
from amp_tf.layers.dense import REGISTERED, PairPerceptron, Perceptron
from amp_tf.layers.edges import weighted
from amp_tf.ops import multipoles as multipole_ops
from amp_tf.ops import safe
from amp_tf.ops.field import SMALLEST_DISTANCE, packed_field
from amp_tf.ops.interactions import n_interaction_terms

FIELD_RADIUS = 3.0
"""Unit of length of the field, angstrom, about the distance of the first neighbours."""
FIELD_WIDTH = 1.0
"""Width over which that field is blunted towards a charge that comes close, angstrom."""
FIELD_NORM_WIDTH = 0.01
"""Width of the smooth norms of the field, whose own size is of order one near the first neighbours."""


@REGISTERED
class DirectPolarization(keras.layers.Layer):
    """M_i^k ← M_i^k + Σ_j c_ij^k R_ij^k for k >= 1 with c_ij = scale · φ_MMM(h_i, a_ij), the sum over external charges j (Eq. 10).

    a_ij couples the multipoles of the atom i with the charge j through radial weights of its own.

    Args:
        max_order: highest multipole order k of the atoms, at least 1.
        n_features: size of h and of every hidden layer.
        n_elements: size of the one-hot element vector.
        n_radial: number of Bessel functions of the long-range cut-off.
        n_radial_weights: size of the radial weights.
        coefficient_scale: the factor on the coefficients.

    Call arguments:
        features: h [n_atoms, n_features].
        one_hot: [n_atoms, n_elements].
        multipoles: of the atoms, packed (:mod:`amp_tf.ops.multipoles`): [n_atoms, n_components].
        charges: of the sources, e: [n_sources].
        edges: atoms (receivers) and sources (senders), :class:`amp_tf.layers.edges.Edges`.

    Returns:
        What is added to the multipoles, the sum over j, in the form of ``multipoles``; zero for order 0.
    """

    def __init__(
        self, max_order: int, n_features: int, n_elements: int, n_radial: int, n_radial_weights: int, coefficient_scale: float, **kwargs
    ):
        super().__init__(**kwargs)
        self.max_order, self.n_features, self.n_elements = max_order, n_features, n_elements
        self.n_radial, self.n_radial_weights, self.coefficient_scale = n_radial, n_radial_weights, coefficient_scale
        policy, hidden = self.dtype_policy, (n_features, n_features)
        self.radial_weights = RadialWeights(n_radial_weights, n_elements, n_radial, with_sender=False, dtype=policy, name="radial_weights")
        pair_size = n_radial_weights * n_interaction_terms(max_order, 0)
        self.coefficients = PairPerceptron(n_features, pair_size, hidden, max_order, with_sender=False, dtype=policy, name="coefficients")
        self.built = True

    def call(self, features, one_hot, multipoles, charges, edges):
        products = multipole_ops.monomials(edges.unit_vectors, self.max_order)
        at_senders = safe.gather(charges, edges.senders)[:, None]
        pair_features = charge_features(self.radial_weights(one_hot, edges), multipoles, products, at_senders, edges)
        return expanded(self, features, pair_features, products, edges)

    def get_config(self):
        return super().get_config() | {
            "max_order": self.max_order,
            "n_features": self.n_features,
            "n_elements": self.n_elements,
            "n_radial": self.n_radial,
            "n_radial_weights": self.n_radial_weights,
            "coefficient_scale": self.coefficient_scale,
        }


@REGISTERED
class NearFarPolarization(keras.layers.Layer):
    """Charges close by as particles, the rest as a field: for k >= 1, which goes beyond the paper. ::

        M_i^k ← M_i^k + scale · ( Σ_{j: r_ij < r_near} s(r_ij) q_j b(r_ij)^(k+1) φ^k(h_i, a_ij) R_ij^k
                                  + φ_F^k(h_i, M_i^n·T_i^n, |T_i^n|; n = 1..K) T_i^k )

    T_i^k = Σ_j (1 − s(r_ij)) q_j (r_0/r_ij)^(k+1) R_ij^k is the k-th derivative of the potential of the charges, near ones faded out by the
    switch s, in units of r_0 = 3 Å. φ is the pair network of Eq. 10, b(r) = r_0 / √(r² + 1 Å²) the decay of the field blunted towards a
    charge that comes close; φ_F, the response of an atom to the field, is a perceptron once an atom. So far charges cost no network, and
    their field decays as it must at all distances. A charge of zero does nothing.

    Args:
        max_order: highest multipole order k of the atoms, at least 1.
        n_features: size of h and of every hidden layer.
        n_elements: size of the one-hot element vector.
        n_radial: number of Bessel functions of the near cut-off.
        n_radial_weights: size of the radial weights.
        coefficient_scale: the factor on what is added, and the size of the multipoles.

    Call arguments:
        features: h [n_atoms, n_features].
        one_hot: [n_atoms, n_elements].
        multipoles: of the atoms, packed (:mod:`amp_tf.ops.multipoles`): [n_atoms, n_components].
        tensors: derivatives of the potential of all charges, :func:`amp_tf.ops.field.field_tensors`: [n_atoms, n_monomials(max_order)].
        charges: q of the particles [n_mm], e.
        edges: atoms (receivers) and the particles near them (senders), weighted by s: :class:`amp_tf.layers.edges.Edges`.

    Returns:
        What is added to the multipoles, in their form; zero for order 0.
    """

    def __init__(
        self, max_order: int, n_features: int, n_elements: int, n_radial: int, n_radial_weights: int, coefficient_scale: float, **kwargs
    ):
        super().__init__(**kwargs)
        self.max_order, self.n_features, self.n_elements = max_order, n_features, n_elements
        self.n_radial, self.n_radial_weights, self.coefficient_scale = n_radial, n_radial_weights, coefficient_scale
        policy, hidden = self.dtype_policy, (n_features, n_features)
        self.radial_weights = RadialWeights(n_radial_weights, n_elements, n_radial, with_sender=False, dtype=policy, name="radial_weights")
        pair_size = n_radial_weights * n_interaction_terms(max_order, 0)
        self.coefficients = PairPerceptron(n_features, pair_size, hidden, max_order, with_sender=False, dtype=policy, name="coefficients")
        self.response = Perceptron(n_features + 2 * max_order, hidden, max_order, dtype=policy, name="response")
        self.built = True

    def call(self, features, one_hot, multipoles, tensors, charges, edges):
        products = multipole_ops.monomials(edges.unit_vectors, self.max_order)
        at_senders = safe.gather(charges, edges.senders)[:, None]
        pair_features = charge_features(self.radial_weights(one_hot, edges), multipoles, products, at_senders, edges)
        decay = FIELD_RADIUS * ops.rsqrt(ops.square(edges.distances) + FIELD_WIDTH**2)[:, None]
        near = expanded(self, features, pair_features, self._fields(at_senders, decay, edges), edges)
        reach = FIELD_RADIUS / ops.maximum(edges.distances, SMALLEST_DISTANCE)[:, None]
        faded_out = weighted(self._fields(at_senders, reach, edges), edges)
        faded_out = multipole_ops.traceless(safe.segment_sum(faded_out, edges.receivers, ops.shape(features)[0]))
        far = packed_field(tensors, FIELD_RADIUS) - faded_out
        return near + self._respond(features, multipoles, far)

    def _fields(self, charges, decay, edges):
        """q decay^(k+1) times the monomials of degree k of the unit vectors, [n_pairs, n_monomials]."""
        return charges * decay * multipole_ops.monomials(decay * edges.unit_vectors, self.max_order)

    def _respond(self, features, multipoles, field):
        """scale · φ_F^k T^k, packed; zero for order 0."""
        of_orders = ops.convert_to_tensor(multipole_ops.components_of_orders(self.max_order)[1:], dtype=field.dtype)
        dots = ops.matmul(multipoles * field, ops.transpose(of_orders)) / self.coefficient_scale
        sizes = multipole_ops.norms(field, FIELD_NORM_WIDTH)[:, 1:]
        responses = self.response(ops.concatenate([features, dots, sizes], axis=-1))
        return self.coefficient_scale * ops.matmul(responses, of_orders) * field

    def get_config(self):
        return super().get_config() | {
            "max_order": self.max_order,
            "n_features": self.n_features,
            "n_elements": self.n_elements,
            "n_radial": self.n_radial,
            "n_radial_weights": self.n_radial_weights,
            "coefficient_scale": self.coefficient_scale,
        }


def charge_features(radial_weights, multipoles, products, charges, edges):
    """a_ij of Eq. 7 between the multipoles of the atoms and charges: [n_pairs, n_weights * n_terms(k, 0)].

    Args:
        radial_weights: [n_pairs, n_weights].
        multipoles: of the atoms, packed, [n_atoms, n_components].
        products: monomials of the unit vectors, [n_pairs, n_monomials].
        charges: of the sender of each pair, [n_pairs, 1].
        edges: the pairs.
    """
    of_atoms = multipole_ops.full_contractions(multipoles, products, edges.receivers)
    return outer_features(radial_weights, ops.concatenate([of_atoms[:, 1:-1] * charges, of_atoms, charges], axis=-1))
