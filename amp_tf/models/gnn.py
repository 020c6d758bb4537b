"""GNN and GNN-P: message passing on distances alone, the paper's baseline."""

from amp_tf.layers import MessagePassing
from amp_tf.layers.dense import REGISTERED
from amp_tf.models.node_potential import NodePotential


@REGISTERED
class GNN(NodePotential):
    """Message passing potential without anisotropy (Eq. 1), with the widths of AMP; GNN-P with ``pairwise_coulomb``.

    Args:
        mm_types: charges of the MM particles that are nodes of the graph, one type each, e; with none, MM particles act through -P alone.

    All others are as in :class:`amp_tf.AMP`.
    """

    def __init__(
        self, elements, cutoff=5.0, n_layers=3, n_features=128, mm_types=(), pairwise_coulomb=False, long_range_partners="mm",
        energy_scale=1.0, **kwargs,
    ):  # fmt: skip
        super().__init__(elements, cutoff, n_layers, n_features, mm_types, energy_scale, pairwise_coulomb, long_range_partners, **kwargs)
        self.message_layers = [
            MessagePassing(self.n_features, self.n_types, self.n_radial, dtype=self.dtype_policy, name=f"message_passing_{number}")
            for number in range(self.n_layers)
        ]
        self.built = True

    def pass_messages(self, one_hot, layer_edges):
        features = self.embedding(one_hot)
        for layer, edges in zip(self.message_layers, layer_edges, strict=True):
            features = layer(features, one_hot, edges)
        return features, None
