"""PaiNN, a baseline of the paper: scalar and vector features (Schütt, Unke and Gastegger, ICML 2021)."""

from amp_tf.layers.dense import REGISTERED
from amp_tf.layers.painn import PaiNNMessage, PaiNNMixing
from amp_tf.models.node_potential import NodePotential


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
        self.built = True

    def pass_messages(self, one_hot, layer_edges):
        scalars, vectors = self.embedding(one_hot), None
        for message, mixing, edges in zip(self.messages, self.mixings, layer_edges, strict=True):
            scalars, vectors = mixing(*message(scalars, vectors, edges))
        return scalars
