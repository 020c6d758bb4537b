"""What AMP and GNN have in common: embedding, readout, charges and the Coulomb terms."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from amp_tf.graph import MolecularGraph
from amp_tf.layers import Perceptron
from amp_tf.models import long_range
from amp_tf.models.potential import Potential
from amp_tf.models.settings import check_sizes, require, require_positive
from amp_tf.ops import safe
from amp_tf.ops.electrostatics import conserve_charge
from amp_tf.targets import DIPOLE_MOMENT, ENERGY


class MessagePassingPotential(Potential):
    """Base of the message passing potentials; see :class:`amp_tf.AMP` for the arguments.

    ``n_types`` is the size of the one-hot vector of a node: the elements, then ``n_mm_types`` types of MM particles; ``more_sizes`` are
    those that a subclass adds to ``n_layers``, ``n_features`` and ``n_radial``, checked with them.
    """

    predicts_targets = True

    def __init__(
        self, elements, cutoff: float, n_layers: int, n_features: int, pairwise_coulomb: bool, long_range_partners: str,
        energy_scale: float, n_mm_types: int = 0, n_radial: int = 20, more_sizes: Mapping[str, int] | None = None, **kwargs,
    ):  # fmt: skip
        check_sizes(n_layers=n_layers, n_features=n_features, n_radial=n_radial, **more_sizes or {})
        super().__init__(elements, cutoff, n_radial=n_radial, **kwargs)
        require_positive(energy_scale=energy_scale)
        require(isinstance(pairwise_coulomb, bool), f"pairwise_coulomb must be true or false, got {pairwise_coulomb!r}.")
        require(long_range_partners in long_range.PARTNERS, f"long_range_partners must be 'mm' or 'qm', got {long_range_partners!r}.")
        self.n_layers, self.n_features, self.energy_scale = int(n_layers), int(n_features), float(energy_scale)
        of_charges = pairwise_coulomb and self.target != DIPOLE_MOMENT  # whose charges alone -P predicts
        require(
            self.target == ENERGY or not of_charges,
            f"pairwise_coulomb adds Coulomb energies, which have no place in {self.target}; leave it out.",
        )
        self.sees_total_charge = of_charges
        self.pairwise_coulomb, self.long_range_partners = pairwise_coulomb, long_range_partners
        self.n_types = len(self.elements) + n_mm_types
        self.embedding = keras.layers.Dense(self.n_features, kernel_initializer="he_normal", dtype=self.dtype_policy, name="embedding")
        self.embedding.build((None, self.n_types))

    def _make_readouts(self, state_size: int) -> None:
        """Of energies, or another sum over atoms, and, with -P and for dipole moments, of charges; both see the final state of an atom."""
        self.readout = self.charge_readout = None
        if self.target != DIPOLE_MOMENT:
            self.readout = self._perceptron("readout", state_size)
        if self.pairwise_coulomb or self.target == DIPOLE_MOMENT:
            self.charge_readout = self._perceptron("charge_readout", state_size)

    def _set_long_range(self, is_polarized: bool = False) -> None:
        """Say which long-range pairs the graph must hold: those of polarization and of Coulomb energies, which dipole moments have not."""
        is_long_ranged = is_polarized or (self.pairwise_coulomb and self.target != DIPOLE_MOMENT)
        self.embeds_charges = is_long_ranged and self.long_range_partners == "mm"
        by_sources = is_polarized and self.long_range_partners == "qm" and self.target != DIPOLE_MOMENT  # whose charges are Eq. 10's
        self.sees_total_charge = self.sees_total_charge or by_sources
        if is_long_ranged and self.long_range_partners == "qm":
            self.far_from = 0.0 if self.message_cutoff == "smooth" else self.cutoff

    def _perceptron(self, name: str, input_size: int) -> Perceptron:
        """[Dense swish, Dense swish, Dense(1)], the form of the energy readout φ_V and of the charges φ_ρ (A.2)."""
        return Perceptron(input_size, (self.n_features, self.n_features), 1, dtype=self.dtype_policy, name=name)

    def start_at_zero(self) -> None:
        """Set the last kernels of the readouts of energies and charges to zero.

        The untrained potential then spreads the total charge evenly and adds nothing else to the atomic energies. Charges of QM atoms that
        only polarize (``source_charges``) stay as they are.
        """
        for readout in filter(None, (self.readout, self.charge_readout)):
            kernel = readout.dense[-1].kernel
            kernel.assign(ops.zeros_like(kernel))

    def _read_out(
        self, state, graph: MolecularGraph, distances=None, potentials=None, atomic_dipoles=None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Energy terms and properties from the final state [n_atoms, …] of the atoms.

        ``distances`` of the long-range pairs [n_pairs] or ``potentials`` at the atoms [n_atoms] are worked out where they are not given;
        ``atomic_dipoles`` [n_atoms, 3] (e*angstrom) are taken to be zero.
        """
        if self.target == DIPOLE_MOMENT:
            return self._read_out_dipole(state, graph, atomic_dipoles)
        n_systems = ops.shape(graph.total_charge)[0]
        terms = {"atomic": self.energy_scale * safe.segment_sum(self.readout(state)[:, 0], graph.system, n_systems)}
        if not self.pairwise_coulomb:
            return terms, {}
        charges = conserve_charge(self.charge_readout(state)[:, 0], graph.system, graph.total_charge)
        partners, smooth = self.long_range_partners, self.message_cutoff == "smooth"
        if potentials is None:
            potentials = long_range.potentials_at_atoms(charges, graph, partners, self.cutoff, smooth, distances)
        terms[f"coulomb_qm_{partners}"] = safe.segment_sum(charges * potentials, graph.system, n_systems)
        return terms, {"charges": charges}

    def _read_out_dipole(self, state, graph: MolecularGraph, atomic_dipoles) -> tuple[dict[str, Any], dict[str, Any]]:
        """|Σ_i q_i r_i + μ_i|, the charges being neutral together (Eq. 14)."""
        n_systems = ops.shape(graph.total_charge)[0]
        charges = conserve_charge(self.charge_readout(state)[:, 0], graph.system, ops.zeros_like(graph.total_charge))
        of_atoms = charges[:, None] * graph.positions
        if atomic_dipoles is not None:
            of_atoms = of_atoms + atomic_dipoles
        dipole = safe.segment_sum(of_atoms, graph.system, n_systems)
        return {"dipole_moment": safe.norm(dipole)}, {"charges": charges, "dipole": dipole}

    def get_config(self):
        return super().get_config() | {
            "n_layers": self.n_layers,
            "n_features": self.n_features,
            "pairwise_coulomb": self.pairwise_coulomb,
            "long_range_partners": self.long_range_partners,
            "energy_scale": self.energy_scale,
        }
