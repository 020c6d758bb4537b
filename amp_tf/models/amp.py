"""AMP(k) and its variants -D, -P, -DP: anisotropic message passing (Thürlemann & Riniker, ICLR 2023)."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from ase.data import covalent_radii
from keras import ops

from amp_tf import units
from amp_tf.graph import MolecularGraph
from amp_tf.layers import (
    AnisotropicMessagePassing,
    DirectPolarization,
    Edges,
    MultipoleExpansion,
    NearFarPolarization,
    RadialWeights,
    make_edges,
)
from amp_tf.layers.dense import REGISTERED
from amp_tf.models import long_range
from amp_tf.models.message_passing_potential import MessagePassingPotential
from amp_tf.models.settings import require, require_positive, require_whole
from amp_tf.neighbours import EXPANSION_RATIO
from amp_tf.ops import multipoles as multipole_ops
from amp_tf.ops import safe
from amp_tf.ops.electrostatics import conserve_charge
from amp_tf.ops.expansion import order_for
from amp_tf.ops.interactions import n_interaction_terms
from amp_tf.ops.radial import smooth_step
from amp_tf.ops.repulsion import zbl_energies
from amp_tf.targets import DIPOLE_MOMENT, ENERGY

EXPANSION_ORDER = order_for(tolerance=1e-6, ratio=EXPANSION_RATIO)
"""Of the field of particles far from all atoms, where these are many; the tolerance is that of the potential."""

LONG_RANGE_CUTOFF = 50.0
"""Of the paper's direct polarization, angstrom."""


@REGISTERED
class AMP(MessagePassingPotential):
    """Anisotropic message passing potential (Eqs. 2 to 8) with optional long-range terms (Eqs. 10, 11, 13).

    Args:
        elements: chemical symbols that the model knows, for example ``("H", "O")``.
        max_order: k, the highest order of the multipoles, at least 0.
        cutoff: atoms closer than this exchange messages, angstrom (paper: 5).
        n_layers: message passing layers (paper: 3; 4 for QM9).
        n_features: size of the atoms' features and of every hidden layer (paper: 128; 64 for the dimer).
        n_radial_weights: radial weights of a pair of atoms (paper: 16; 4 for the dimer).
        direct_polarization: -D, multipoles polarized by charges outside the graph, in the last layer, for k >= 1 (Eq. 10).
        pairwise_coulomb: -P, predicted charges that sum to the total charge, and their Coulomb energy (Eqs. 11 and 13).
        long_range_partners: whose charges -D and -P see: ``"mm"``, external particles; ``"qm"``, atoms of the same system beyond the
            cut-off, for -D the ``source_charges`` that a readout of its own predicts from the state before the polarization.
        long_range_cutoff: of the direct polarization, with a smooth switch, angstrom (paper: 50, 30 for the clusters).
        n_long_range_weights: radial weights of the direct polarization (paper: 8).
        near_cutoff: with -D, MM particles closer than this polarize through the pair network, all others through their field, without a
            cut-off (:class:`amp_tf.layers.NearFarPolarization`), angstrom; None: all through the pair network, as in the paper, which sees
            particles without charge too. 4 is a good choice.
        repulsion: add the screened repulsion of nuclei that are closer than the sum of their covalent radii (ZBL,
            :func:`amp_tf.ops.repulsion.zbl_energies`; it fades in smoothly down to half of that sum), a wall where no training data are.
        coefficient_scale: factor on the predicted coefficients c (paper: 1e-4, "for stability"; larger values learn sooner).
        norm_width: width over which norms of multipoles, which the network reads, are smooth where a multipole passes zero, in units of
            the multipoles; None: a hundredth of ``coefficient_scale``, the size that they have before training. Trained ones are about
            0.2; 0.01 keeps the force from bending within 0.002 angstrom there.
        energy_scale: factor on the energy readout, kJ/mol: the size of the energies to be learnt (paper: 1). Steps of the optimizer move
            the energy in proportion to it.
        message_cutoff: ``"smooth"`` or ``"none"``, see :class:`amp_tf.models.potential.Potential`.
        n_radial: Bessel functions (paper: 20).
        atomic_energies: energy reference by element, kJ/mol.
        provenance: JSON-able record of the training, saved with the model.
        dtype: ``"float32"`` or ``"float64"``.

    Raises:
        InputError: for a negative order and for settings that cannot be met.
    """

    def __init__(
        self, elements: Sequence[str], max_order: int = 2, cutoff: float = 5.0, n_layers: int = 3, n_features: int = 128,
        n_radial_weights: int = 16, direct_polarization: bool = False, pairwise_coulomb: bool = False, long_range_partners: str = "mm",
        long_range_cutoff: float = LONG_RANGE_CUTOFF, n_long_range_weights: int = 8, near_cutoff: float | None = None,
        repulsion: bool = False, coefficient_scale: float = 1e-2, energy_scale: float = 1.0, message_cutoff: str = "smooth",
        n_radial: int = 20, atomic_energies: Mapping[str, float] | None = None, provenance: Mapping[str, Any] | None = None,
        dtype: str = "float32", norm_width: float | None = None, **kwargs,
    ):  # fmt: skip
        require_whole(0, max_order=max_order)
        require_whole(1, 10_000, n_long_range_weights=n_long_range_weights)
        require_positive(long_range_cutoff=long_range_cutoff, coefficient_scale=coefficient_scale)
        if norm_width is not None:
            require_positive(norm_width=norm_width)
        if near_cutoff is not None:
            check_near_cutoff(near_cutoff, long_range_cutoff)
            require(
                direct_polarization and max_order >= 1 and long_range_partners == "mm",
                "near_cutoff is for MM particles that polarize: set direct_polarization=True, max_order >= 1 and long_range_partners='mm', "
                "or leave near_cutoff out.",
            )
        require(isinstance(direct_polarization, bool), f"direct_polarization must be true or false, got {direct_polarization!r}.")
        require(isinstance(repulsion, bool), f"repulsion must be true or false, got {repulsion!r}.")
        target = kwargs.get("target", ENERGY)
        require(target == ENERGY or not repulsion, f"repulsion is an energy, which has no place in {target}; leave it out.")
        super().__init__(
            elements, cutoff, n_layers, n_features, pairwise_coulomb, long_range_partners, energy_scale,
            more_sizes={"n_radial_weights": n_radial_weights, "max_order": max_order},
            message_cutoff=message_cutoff, n_radial=n_radial, atomic_energies=atomic_energies, provenance=provenance, dtype=dtype, **kwargs,
        )  # fmt: skip
        self.max_order, self.n_radial_weights, self.direct_polarization = int(max_order), int(n_radial_weights), direct_polarization
        self.long_range_cutoff, self.n_long_range_weights = float(long_range_cutoff), int(n_long_range_weights)
        self.near_cutoff = None if near_cutoff is None else float(near_cutoff)
        self.repulsion, self.coefficient_scale = repulsion, float(coefficient_scale)
        self.norm_width = 0.01 * self.coefficient_scale if norm_width is None else float(norm_width)
        self._set_long_range(self.is_polarized)
        self.sums_in_chunks = self.sees_charges_of_zero
        longest = 2.0 * max(covalent_radii[number] for number in self._element_numbers)
        require(not repulsion or longest <= self.cutoff, f"repulsion reaches {longest:.2f} angstrom; choose a cutoff of at least that.")
        self._make_layers()
        self.built = True

    def _make_layers(self) -> None:
        n_elements, policy = len(self.elements), self.dtype_policy
        pair_size = self.n_radial_weights * n_interaction_terms(self.max_order)
        state_size = self.n_features + self.max_order + 1 + n_elements
        self.radial_weights = RadialWeights(self.n_radial_weights, n_elements, self.n_radial, dtype=policy, name="radial_weights")
        self.expansions = [
            MultipoleExpansion(
                self.max_order,
                self.n_features,
                self.n_radial if number == 0 else pair_size,
                self.coefficient_scale,
                dtype=policy,
                name=f"expansion_{number}",
            )
            for number in range(self.n_layers)
        ]
        self.message_layers = [
            AnisotropicMessagePassing(
                self.max_order,
                self.n_features,
                n_elements,
                self.n_radial_weights,
                self.norm_width,
                dtype=policy,
                name=f"message_passing_{number}",
            )
            for number in range(self.n_layers)
        ]
        self._make_readouts(state_size)
        if self.near_cutoff is not None:
            self.polarization = NearFarPolarization(
                self.max_order, self.n_features, n_elements, self.n_radial, self.n_long_range_weights, self.coefficient_scale,
                dtype=policy, name="polarization",
            )  # fmt: skip
        elif self.is_polarized:
            self.polarization = DirectPolarization(
                self.max_order, self.n_features, n_elements, self.n_radial, self.n_long_range_weights, self.coefficient_scale,
                dtype=policy, name="polarization",
            )  # fmt: skip
            if self.long_range_partners == "qm":
                self.source_charge_readout = self._perceptron("source_charge_readout", state_size)

    def energy_terms(self, graph: MolecularGraph):
        """``atomic``, with -P ``coulomb_qm_mm`` or ``coulomb_qm_qm``, and ``repulsion``; ``multipoles`` of the last layer, ``charges`` (-P)
        and ``source_charges`` (-D among QM atoms)."""
        one_hot, edges = self.one_hot(graph), self.edges(graph)
        products = multipole_ops.monomials(edges.unit_vectors, self.max_order)
        radial_weights = self.radial_weights(one_hot, edges)
        features, pair_features = self.embedding(one_hot), edges.radial_basis
        of_pairs = {}
        for number, (expand, pass_messages) in enumerate(zip(self.expansions, self.message_layers, strict=True)):
            multipoles = expand(features, pair_features, products, edges)
            if number == self.n_layers - 1 and self.is_polarized:
                sources = self._source_charges(self._state(features, multipoles, one_hot), graph)
                added, of_pairs = self._polarize(features, one_hot, multipoles, sources, graph)
                multipoles = multipoles + added
            features, pair_features = pass_messages(features, one_hot, multipoles, radial_weights, edges)
        if self.target == DIPOLE_MOMENT and self.max_order >= 1:
            of_pairs["atomic_dipoles"] = multipoles[:, 1:4]
        terms, properties = self._read_out(self._state(features, multipoles, one_hot), graph, **of_pairs)
        if self.repulsion:
            terms["repulsion"] = self._repulsion(graph, one_hot, edges)
        if self.is_polarized and self.long_range_partners == "qm":
            properties["source_charges"] = sources
        return terms, properties | {"multipoles": multipole_ops.unpack(multipoles)}

    def _repulsion(self, graph: MolecularGraph, one_hot, edges: Edges):
        """Half of each pair's repulsion at either end, summed over each system, [n_systems]."""
        table = ops.convert_to_tensor([[number, covalent_radii[number]] for number in self._element_numbers], dtype=self.compute_dtype)
        numbers, radii = ops.unstack(ops.matmul(one_hot, table), axis=-1)
        ends = (edges.receivers, edges.senders)
        sums = safe.gather(radii, ends[0]) + safe.gather(radii, ends[1])
        energies = zbl_energies(edges.distances, *(safe.gather(numbers, end) for end in ends))
        fading = 1.0 - smooth_step(2.0 * edges.distances / sums - 1.0)
        of_pairs = 0.5 * fading * energies
        return safe.segment_sum(of_pairs, safe.gather(graph.system, ends[0]), ops.shape(graph.total_charge)[0])

    def _polarize(self, features, one_hot, multipoles, sources, graph: MolecularGraph):
        """What charges add to the multipoles, and the distances of the pairs or, where these are not listed at once, the potentials."""
        if self.near_cutoff is not None:
            tensors = long_range.field_at_atoms(graph, self.max_order, EXPANSION_ORDER if self.expands else None)
            ends = (graph.positions, graph.mm_positions, graph.near_receivers, graph.near_senders)
            edges = make_edges(*ends, self.near_cutoff, self.n_radial, True)
            added = self.polarization(features, one_hot, multipoles, tensors, sources, edges)
            return added, {"potentials": units.COULOMB_CONSTANT * tensors[:, 0]}
        if self.pairs_at_once is None:
            edges = self._long_range_edges(graph)
            return self.polarization(features, one_hot, multipoles, sources, edges), {"distances": edges.distances}

        def of_chunk(start, stop, positions, mm_positions, mm_charges, features, multipoles):
            part = graph._replace(
                positions=positions, mm_positions=mm_positions, mm_charges=mm_charges,
                mm_receivers=graph.mm_receivers[start:stop], mm_senders=graph.mm_senders[start:stop],
            )  # fmt: skip
            edges = self._long_range_edges(part)
            added = self.polarization(features, one_hot, multipoles, mm_charges, edges)
            potentials = long_range.potentials_at_atoms(None, part, "mm", self.cutoff, True, edges.distances)
            return ops.concatenate([added, potentials[:, None]], axis=-1)

        inputs = (graph.positions, graph.mm_positions, graph.mm_charges, features, multipoles)
        sums = safe.sum_in_chunks(of_chunk, ops.shape(graph.mm_receivers)[0], self.pairs_at_once, *inputs)
        return sums[:, :-1], {"potentials": sums[:, -1]}

    @property
    def is_polarized(self) -> bool:
        """Whether Eq. 10 applies: with -D and multipoles of order 1 or higher."""
        return self.direct_polarization and self.max_order >= 1

    @property
    def sees_charges_of_zero(self) -> bool:
        """Whether MM particles without charge polarize too, as the network of Eq. 10 sees that they are there."""
        return self.is_polarized and self.long_range_partners == "mm" and self.near_cutoff is None

    def _long_range_edges(self, graph: MolecularGraph) -> Edges:
        smooth = self.message_cutoff == "smooth"
        return long_range.long_range_edges(graph, self.long_range_partners, self.cutoff, self.long_range_cutoff, self.n_radial, smooth)

    def _source_charges(self, state, graph: MolecularGraph):
        """The charges that polarize in Eq. 10: those of the MM particles, or predicted from the state of the QM atoms before it."""
        if self.long_range_partners == "mm":
            return graph.mm_charges
        return conserve_charge(self.source_charge_readout(state)[:, 0], graph.system, graph.total_charge)

    def _state(self, features, multipoles, one_hot):
        """[features, norms of the multipoles, one-hot elements], what readouts see."""
        return ops.concatenate([features, multipole_ops.norms(multipoles, self.norm_width), one_hot], axis=-1)

    def get_config(self):
        return super().get_config() | {
            "max_order": self.max_order,
            "n_radial_weights": self.n_radial_weights,
            "direct_polarization": self.direct_polarization,
            "long_range_cutoff": self.long_range_cutoff,
            "n_long_range_weights": self.n_long_range_weights,
            "near_cutoff": self.near_cutoff,
            "repulsion": self.repulsion,
            "coefficient_scale": self.coefficient_scale,
            "norm_width": self.norm_width,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AMP":
        """Raises:
        InputError: for a form of polarization that development versions before 0.2 had.
        """
        require(not config.pop("field_polarization", False), "field_polarization is no longer there; train again with near_cutoff.")
        return super().from_config(config)


def check_near_cutoff(near_cutoff: float, long_range_cutoff: float) -> None:
    """Refuse a near cut-off, angstrom, that cannot be.

    Raises:
        InputError: if one of them is no positive number, or it is above the long-range cut-off.
    """
    is_number = isinstance(near_cutoff, Real) and not isinstance(near_cutoff, bool)
    require(
        is_number and 0 < near_cutoff < float("inf"),
        f"near_cutoff must be positive and finite, got {near_cutoff!r}; 4 angstrom is usual, or leave it out.",
    )
    require_positive(long_range_cutoff=long_range_cutoff)
    require(
        near_cutoff <= long_range_cutoff,
        f"near_cutoff ({near_cutoff:g} angstrom) must not be above long_range_cutoff ({long_range_cutoff:g} angstrom); lower near_cutoff.",
    )
