"""SchNet, a baseline of the paper: continuous-filter convolutions (Schütt et al., J. Chem. Phys. 148, 241722, 2018)."""

from amp_tf.layers.dense import REGISTERED
from amp_tf.layers.schnet import SchNetInteraction
from amp_tf.models.node_potential import NodePotential


@REGISTERED
class SchNet(NodePotential):
    """SchNet with the radial basis and the readout of AMP (paper, A.4).

    Args:
        elements, cutoff, n_layers, energy_scale, message_cutoff, n_radial, atomic_energies, provenance, dtype: as in :class:`amp_tf.AMP`.
        n_features: size of the features and of the readout's layers (paper: 256).
        n_filters: size of the filters (paper: 256).
        mm_types: charges of the MM particles that are nodes of the graph, one type each, e.
        pairwise_coulomb: as in :class:`amp_tf.AMP`; dipole moments (``target="mu"``) are those of these charges.
    """

    def __init__(
        self,
        elements,
        cutoff=5.0,
        n_layers=3,
        n_features=256,
        n_filters=256,
        mm_types=(),
        energy_scale=1.0,
        pairwise_coulomb=False,
        **kwargs,
    ):
        super().__init__(
            elements, cutoff, n_layers, n_features, mm_types, energy_scale, pairwise_coulomb, more_sizes={"n_filters": n_filters}, **kwargs
        )
        self.n_filters = int(n_filters)
        self.interactions = [
            SchNetInteraction(self.n_features, self.n_filters, self.n_radial, dtype=self.dtype_policy, name=f"interaction_{number}")
            for number in range(self.n_layers)
        ]
        self.built = True

    def pass_messages(self, one_hot, layer_edges):
        features = self.embedding(one_hot)
        for interaction, edges in zip(self.interactions, layer_edges, strict=True):
            features = interaction(features, edges)
        return features, None

    def get_config(self):
        return super().get_config() | {"n_filters": self.n_filters}
