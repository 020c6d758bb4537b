"""GNN and GNN-P: message passing on distances alone, the paper's baseline."""

from keras import ops

from amp_tf.graph import MolecularGraph
from amp_tf.layers import MessagePassing
from amp_tf.layers.dense import REGISTERED
from amp_tf.models.message_passing_potential import MessagePassingPotential


@REGISTERED
class GNN(MessagePassingPotential):
    """Message passing potential without anisotropy (Eq. 1), with the widths of AMP; GNN-P with ``pairwise_coulomb``.

    Args:
        elements, cutoff, n_layers, n_features, pairwise_coulomb, long_range_partners, energy_scale, message_cutoff, n_radial,
        atomic_energies, provenance, dtype: as in :class:`amp_tf.AMP`.
    """

    def __init__(
        self, elements, cutoff=5.0, n_layers=3, n_features=128, pairwise_coulomb=False, long_range_partners="mm", energy_scale=1.0, **kwargs
    ):  # fmt: skip
        super().__init__(elements, cutoff, n_layers, n_features, pairwise_coulomb, long_range_partners, energy_scale, **kwargs)
        self._set_long_range(pairwise_coulomb)
        n_elements = len(self.elements)
        self.message_layers = [
            MessagePassing(n_features, n_elements, self.n_radial, dtype=self.dtype_policy, name=f"message_passing_{number}")
            for number in range(n_layers)
        ]
        self.readout = self._perceptron("readout", n_features + n_elements)
        if pairwise_coulomb:
            self.charge_readout = self._perceptron("charge_readout", n_features + n_elements)
        self.built = True

    def energy_terms(self, graph: MolecularGraph):
        """``atomic`` and, with -P, ``coulomb_qm_mm`` or ``coulomb_qm_qm`` and ``charges``."""
        one_hot, edges = self.one_hot(graph), self.edges(graph)
        features = self.embedding(one_hot)
        for layer in self.message_layers:
            features = layer(features, one_hot, edges)
        return self._read_out(ops.concatenate([features, one_hot], axis=-1), graph)
