"""Potentials whose graph MM particles are part of: GNN, PaiNN, SchNet, the paper's baselines (A.4)."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from keras import ops

from amp_tf.graph import MolecularGraph
from amp_tf.layers.edges import Edges, joined, make_edges
from amp_tf.models.message_passing_potential import MessagePassingPotential
from amp_tf.models.settings import require
from amp_tf.systems import naming
from amp_tf.targets import DIPOLE_MOMENT

CHARGE_TOLERANCE = 1e-4
"""An MM particle is of a type when its charge is within this of the type's, e."""


class NodePotential(MessagePassingPotential):
    """Base of the potentials in which MM particles, of types known by their charges, are nodes that messages reach.

    The energy is read out from QM atoms alone. All pairs closer than ``cutoff`` are edges, those among MM particles too.

    Args:
        elements, cutoff, n_layers, n_features, pairwise_coulomb, long_range_partners, energy_scale: as in :class:`amp_tf.AMP`.
        mm_types: charge of each type of MM particle, e, for example ``(-0.914197, 0.457098)`` for O-MM and H-MM; empty without MM nodes.

    Raises:
        InputError: if ``mm_types`` are not distinct numbers.
    """

    def __init__(
        self, elements, cutoff: float, n_layers: int, n_features: int, mm_types: Sequence[float], energy_scale: float,
        pairwise_coulomb: bool = False, long_range_partners: str = "mm", **kwargs,
    ):  # fmt: skip
        types = list(mm_types) if isinstance(mm_types, list | tuple) else np.ravel(mm_types).tolist()
        require(
            all(isinstance(charge, Real) and not isinstance(charge, bool) and np.isfinite(charge) for charge in types),
            f"mm_types must be charges, got {types}.",
        )
        gaps = np.diff(np.sort(np.array(types, dtype=float)))
        require(bool(np.all(gaps > 4 * CHARGE_TOLERANCE)), f"mm_types must be distinct charges, got {types}.")
        super().__init__(
            elements, cutoff, n_layers, n_features, pairwise_coulomb, long_range_partners, energy_scale, n_mm_types=len(types), **kwargs
        )
        require(
            self.target != DIPOLE_MOMENT or pairwise_coulomb or self.has_atomic_dipoles,
            f"{type(self).__name__} has no atomic dipoles to predict mu with; set pairwise_coulomb=True for charges, or take AMP or PaiNN.",
        )
        self.mm_types = tuple(float(charge) for charge in types)
        self.mm_nodes = bool(types)
        self._set_long_range()
        self.embeds_charges = self.embeds_charges or self.mm_nodes
        self._make_readouts(self.n_features + self.n_types)

    has_atomic_dipoles = False
    """Whether :meth:`pass_messages` gives vectors too, from which :meth:`atomic_dipoles` makes dipoles."""

    def pass_messages(self, one_hot, layer_edges: Sequence[Edges]):
        """Final features [n_nodes, n_features] of all nodes from their one-hot types and the edges of each layer, and vectors or None."""
        raise TypeError(f"{type(self).__name__} does not define pass_messages.")

    def energy_terms(self, graph: MolecularGraph):
        """``atomic`` and, with -P, ``coulomb_qm_mm`` or ``coulomb_qm_qm`` and ``charges``."""
        one_hot, n_atoms = self.one_hot(graph), ops.shape(graph.positions)[0]
        if self.mm_nodes:
            one_hot = ops.concatenate([ops.pad(one_hot, ((0, 0), (0, len(self.mm_types)))), self._mm_one_hot(graph)], axis=0)
        features, vectors = self.pass_messages(one_hot, self.layer_edges(graph))
        state = ops.concatenate([features[:n_atoms], one_hot[:n_atoms]], axis=-1)
        is_dipole = self.target == DIPOLE_MOMENT and self.has_atomic_dipoles
        dipoles = self.atomic_dipoles(features[:n_atoms], vectors[:n_atoms]) if is_dipole else None
        return self._read_out(state, graph, atomic_dipoles=dipoles)

    def layer_edges(self, graph: MolecularGraph) -> list[Edges]:
        """The edges of each layer: the last one, after which only QM atoms are read out, takes those alone that end at QM atoms.

        The geometry of each kind of pair is worked out by itself, so that where the gradients on MM particles are not asked for, that of
        MM-MM pairs, which are most, takes no part in the derivatives."""
        if not self.mm_nodes:
            return [self.edges(graph)] * self.n_layers
        n_atoms, smooth = ops.shape(graph.positions)[0], self.message_cutoff == "smooth"
        near = make_edges(
            graph.positions, graph.mm_positions, graph.near_receivers, graph.near_senders, self.cutoff, self.n_radial, smooth
        )  # fmt: skip
        mm_mm = make_edges(
            graph.mm_positions, graph.mm_positions, graph.mm_mm_receivers, graph.mm_mm_senders, self.cutoff, self.n_radial, smooth
        )  # fmt: skip
        near_mm = near.senders + n_atoms
        into_qm = joined(self.edges(graph), near._replace(senders=near_mm))
        back = near._replace(receivers=near_mm, senders=near.receivers, unit_vectors=-near.unit_vectors)
        among_mm = mm_mm._replace(receivers=mm_mm.receivers + n_atoms, senders=mm_mm.senders + n_atoms)
        return [joined(into_qm, back, among_mm)] * (self.n_layers - 1) + [into_qm]

    def _mm_one_hot(self, graph: MolecularGraph):
        """[n_mm, n_types]"""
        charges = ops.convert_to_tensor(self.mm_types, dtype=self.compute_dtype)
        matches = ops.abs(graph.mm_charges[:, None] - charges) < 2 * CHARGE_TOLERANCE  # checked before; single precision has no more digits
        return ops.pad(ops.cast(matches, self.compute_dtype), ((0, 0), (len(self.elements), 0)))

    def check_systems(self, systems):
        """As :meth:`Potential.check_systems`; refuses MM particles of unknown type."""
        for number, system in enumerate(systems) if self.mm_nodes else ():
            off = np.min(np.abs(system.mm_charges[:, None] - np.array(self.mm_types)), axis=1, initial=np.inf)
            unknown = np.unique(system.mm_charges[off > CHARGE_TOLERANCE])
            with naming(f"system {number}", len(systems) > 1):
                require(
                    not len(unknown),
                    f"the model knows MM particles of charge {', '.join(f'{charge:g}' for charge in self.mm_types)} e, "
                    f"not {', '.join(f'{charge:g}' for charge in unknown[:5])}; train one with these mm_types.",
                )
        super().check_systems(systems)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mm_types": list(self.mm_types)}
