"""PaiNN, a baseline of the paper: scalar and vector features (Schütt, Unke and Gastegger, ICML 2021)."""

from keras import ops

from amp_tf.layers.dense import REGISTERED, Perceptron
from amp_tf.layers.painn import PaiNNMessage, PaiNNMixing
from amp_tf.models.node_potential import NodePotential
from amp_tf.targets import DIPOLE_MOMENT


@REGISTERED
class PaiNN(NodePotential):
    """Polarizable atom interaction network with the radial basis and the readout of AMP (paper, A.4).

    Args:
        elements, cutoff, n_layers, energy_scale, message_cutoff, n_radial, atomic_energies, provenance, dtype: as in :class:`amp_tf.AMP`.
        n_features: size of the scalar features, of each component of the vector features and of the readout's layers (paper: 160).
        mm_types: charges of the MM particles that are nodes of the graph, one type each, e.
    """

    def __init__(self, elements, cutoff=5.0, n_layers=3, n_features=160, mm_types=(), energy_scale=1.0, **kwargs):
        super().__init__(elements, cutoff, n_layers, n_features, mm_types, energy_scale, **kwargs)
        layers, policy = range(self.n_layers), self.dtype_policy
        self.messages = [PaiNNMessage(self.n_features, self.n_radial, dtype=policy, name=f"message_{n}") for n in layers]
        self.mixings = [PaiNNMixing(self.n_features, dtype=policy, name=f"mixing_{n}") for n in layers]
        if self.target == DIPOLE_MOMENT:
            sizes = (self.n_features, (self.n_features,), self.n_features)
            self.dipole_gates = Perceptron(*sizes, dtype=policy, name="dipole_gates")
        self.built = True

    has_atomic_dipoles = True

    def atomic_dipoles(self, scalars, vectors):
        """Σ_f g_f(s_i) v_if, the vector features weighted by gates that see the scalars (their section 3.3), [n_atoms, 3], e*angstrom."""
        return ops.sum(self.dipole_gates(scalars)[:, None, :] * vectors, axis=-1)

    def pass_messages(self, one_hot, layer_edges):
        scalars, vectors = self.embedding(one_hot), None
        for message, mixing, edges in zip(self.messages, self.mixings, layer_edges, strict=True):
            scalars, vectors = mixing(*message(scalars, vectors, edges))
        return scalars, vectors
