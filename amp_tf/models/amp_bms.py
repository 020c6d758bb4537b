"""AMP-BMS, the authors' potential of biomolecular fragments in the field of charges (doi 10.1021/jacs.6c00217)."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from ase.calculators.vdwcorrection import vdWDB_alphaC6
from ase.data import chemical_symbols
from keras import ops
from scipy.spatial import cKDTree

from amp_tf import units
from amp_tf.graph import MolecularGraph
from amp_tf.layers import ChannelExpansion, ChannelMessagePassing, InducedMultipoles, PairPerceptron, Perceptron, SineBasis
from amp_tf.layers.dense import REGISTERED
from amp_tf.layers.edges import Edges, pair_vectors
from amp_tf.models import long_range
from amp_tf.models.amp import EXPANSION_ORDER
from amp_tf.models.potential import Potential
from amp_tf.models.settings import check_sizes, require, require_positive, require_whole
from amp_tf.ops import electrostatics, radial, safe
from amp_tf.ops import multipoles as multipole_ops
from amp_tf.ops.dispersion import dispersion_energies, dispersion_radius
from amp_tf.ops.field import SMALLEST_DISTANCE
from amp_tf.ops.repulsion import zbl_energies
from amp_tf.systems import System

ELEMENTS = ("H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I")
"""The elements of the training data."""

MODES = ("train", "md")
MAX_ORDER = 2
EXPONENT = 6
"""p of the envelope."""

TERMS = (16, 13, 7, 17, 14, 8, 9, 11, 10)
"""Columns of :func:`amp_tf.ops.interactions.interaction_coefficients`: D_j·u, D_i·u, D_i·D_j, u·Q_j·u, u·Q_i·u, D_i·Q_j·u, u·Q_i·D_j,
Q_i:Q_j, (Q_i·u)·(Q_j·u), with i the receiver and j the sender."""

N_MM_RADIAL = 2
POLARIZATION_CUTOFF = 8.0
"""Charges closer than this polarize, angstrom."""

PAIR_CUTOFF = 14.0
"""Of Coulomb and dispersion energies among atoms, angstrom."""

DAMPING = 4.0
"""Charges of atoms closer than this interact less than Coulomb's law says, angstrom."""

S8, A1, A2 = 0.7761, 0.7514, 2.7099
"""Parameters of the dispersion."""

BOHR, HARTREE = 0.5291772105638411, 627.509474 * 4.184
"""Of the authors' program, angstrom and kJ/mol: the weights were trained with them; :mod:`amp_tf.units` differs in the tenth digit."""

ROOT = math.sqrt(units.COULOMB_CONSTANT)
"""Charges and multipoles in the network are in sqrt(kJ/mol angstrom) angstrom^k; this many are 1 e angstrom^k."""

CLOSEST_HYDROGENS = 0.7
"""Hydrogens closer than this are far outside the training data, where energies of minus 1e3 to minus 1e20 kJ/mol are found, angstrom."""


@REGISTERED
class AMPBMS(Potential):
    r"""AMP-BMS: an anisotropic message passing potential with electrostatics, dispersion and repulsion (doi 10.1021/jacs.6c00217).

    Distances in angstrom, i is the receiver and j the sender of a pair, x = d/cutoff, w(x) = U(x)/x with the envelope U of exponent 6
    (:func:`amp_tf.ops.radial.message_weight`), u_ij = (r_i − r_j)/d. All networks have swish between their layers.

    - Start: features h_i = embedding of the element, e_ij = φ(h_i, h_j, b_ij) with b_ij = w(x) sin(f_n x) and learnt frequencies f_n.
    - Each of ``n_layers`` steps: dipoles and quadrupoles of several channels, M_i^kc = Σ_j w φ^kc(h_i, h_j, f_ij) R^k(u_ij), f = e in the
      first step (:class:`amp_tf.layers.ChannelExpansion`); nine interactions g of the multipoles of each channel (:data:`TERMS`);
      f = [g, e], h_i ← h_i + φ(h_i, Σ_j w φ(h_i, h_j, f_ij)) (:class:`amp_tf.layers.ChannelMessagePassing`).
    - Before the interactions of the last step a further channel: what charges within 8 angstrom induce,
      a_i^k Σ_j factor · φ^k(b_ij) w(R/8) q_j/R² R^k(u), u from atom to charge, (s_i, a_i^1, a_i^2) = softplus(φ(h_i))
      (:class:`amp_tf.layers.InducedMultipoles`).
    - Charges q_i = φ(h_i)/√K, minus the mean excess, with Coulomb's constant K; dipoles μ_i and quadrupoles Θ_i: channel 0 of the last step
      plus what is induced, over √K.

    Energy terms, kJ/mol, without atomic energies (compare energies of one composition):

    - ``atomic``: Σ_i φ(h_i).
    - ``coulomb_qm_qm``: Σ_{i<j} K S(R/4) b_14(R) q_i q_j, S the smooth step, b_c the reaction field with cut-off c.
    - ``coulomb_qm_mm``: Σ_ij K q_j b (q_i + μ_i·R/R² + 3 R·Θ_i·R/R⁴), R from i to j; b = 1/R or b_c(R).
    - ``dispersion``: pairs within 14 angstrom, where it ends with a step of up to 1e-3, :func:`amp_tf.ops.dispersion.dispersion_energies`
      with C6 = √(C6_i s_i C6_j s_j).
    - ``repulsion``: Σ_{i<j} (1 − S(R − cutoff + 1)) of :func:`amp_tf.ops.repulsion.zbl_energies`.

    The published weights are read by :func:`amp_tf.models.amp_bms_weights.import_weights` or ``amp-tf import-weights``.

    Args:
        elements: chemical symbols, of the ten of the training data.
        mode: ``"train"``: atoms see all charges by Coulomb's law. ``"md"``: those within ``mm_cutoff``, by a reaction field.
        mm_cutoff: of mode ``"md"``, angstrom (paper: 9, with TIP3P water 10).
        polarization_factor: on what charges induce (paper: 1 in training, 0.35, found by calibration, in simulations).
        cutoff: atoms closer than this exchange messages, angstrom (paper: 4).
        n_layers: steps (paper: 2).
        n_features: size of the atoms' features and of hidden layers (paper: 128).
        n_channels: of the multipoles (paper: 8).
        n_radial: functions of the radial basis (paper: 8).
        atomic_energies: energy reference by element, kJ/mol.
        provenance: JSON-able record, saved with the model.
        dtype: ``"float32"`` or ``"float64"``.

    Raises:
        InputError: for elements outside the training data and settings that cannot be met.
    """

    embeds_charges = True
    sees_total_charge = True
    far_from = 0.0

    def __init__(
        self, elements: Sequence[str] = ELEMENTS, mode: str = "train", mm_cutoff: float = 9.0, polarization_factor: float = 0.35,
        cutoff: float = 4.0, n_layers: int = 2, n_features: int = 128, n_channels: int = 8, n_radial: int = 8, **kwargs,
    ):  # fmt: skip
        require("message_cutoff" not in kwargs, "the edges of AMP-BMS end smoothly, by a weight of its own; leave message_cutoff out.")
        check_sizes(n_layers=n_layers, n_features=n_features, n_radial=n_radial)
        super().__init__(elements, cutoff, message_cutoff="smooth", n_radial=n_radial, **kwargs)
        strangers = [symbol for symbol in self.elements if symbol not in ELEMENTS]
        require(not strangers, f"AMP-BMS is for {', '.join(ELEMENTS)}, not for {', '.join(strangers)}; leave these elements out.")
        require(mode in MODES, f"mode must be 'train' or 'md', got {mode!r}.")
        require_positive(mm_cutoff=mm_cutoff, polarization_factor=polarization_factor)
        require_whole(1, 1000, n_channels=n_channels)
        require_whole(4, n_features=n_features)
        self.mode, self.mm_cutoff, self.polarization_factor = mode, float(mm_cutoff), float(polarization_factor)
        self.n_layers, self.n_features, self.n_channels = n_layers, n_features, n_channels
        self.near_cutoff = POLARIZATION_CUTOFF if mode == "train" else max(self.mm_cutoff, POLARIZATION_CUTOFF)
        self._make_layers()
        self.built = True

    def _make_layers(self) -> None:
        size, policy = self.n_features, self.dtype_policy
        edge_size, last = size // 4, self.n_layers - 1
        self.radial_basis = SineBasis(self.n_radial, self.cutoff, EXPONENT, dtype=policy, name="radial_basis")
        self.mm_radial_basis = SineBasis(N_MM_RADIAL, POLARIZATION_CUTOFF, EXPONENT, dtype=policy, name="mm_radial_basis")
        self.embedding = keras.layers.Dense(size, use_bias=False, kernel_initializer="random_normal", dtype=policy, name="embedding")
        self.embedding.build((None, len(self.elements)))
        self.edge_embedding = PairPerceptron(
            size, self.n_radial, (edge_size,), edge_size, output_bias=False, dtype=policy, name="edge_embedding"
        )  # fmt: skip
        with_interactions = self.n_channels * len(TERMS) + edge_size
        self.expansions = [
            ChannelExpansion(
                MAX_ORDER, self.n_channels, size, with_interactions if number else edge_size, dtype=policy, name=f"expansion_{number}"
            )
            for number in range(self.n_layers)
        ]
        self.message_layers = [
            ChannelMessagePassing(
                self.n_channels + (number == last), TERMS, size, edge_size, dtype=policy, name=f"message_passing_{number}"
            )
            for number in range(self.n_layers)
        ]
        self.polarization = InducedMultipoles(MAX_ORDER, N_MM_RADIAL, self.polarization_factor, dtype=policy, name="polarization")
        self.response_readout = self._perceptron("response_readout", (size // 2,), 1 + MAX_ORDER)
        self.charge_readout = self._perceptron("charge_readout", (size // 2,), 1)
        self.readout = self._perceptron("readout", (size, size), 1)
        tables = {
            "c6": [vdWDB_alphaC6[symbol][1] for symbol in self.elements],
            "dispersion_radii": list(map(dispersion_radius, self.elements)),
        }
        self.c6, self.dispersion_radii = (
            self.add_weight(shape=(len(self.elements),), initializer=keras.initializers.Constant(values), trainable=False, name=name)
            for name, values in tables.items()
        )

    def _perceptron(self, name: str, hidden: tuple[int, ...], output_size: int) -> Perceptron:
        return Perceptron(self.n_features, hidden, output_size, output_bias=False, dtype=self.dtype_policy, name=name)

    def start_at_zero(self) -> None:
        """Set the last kernels of the readouts of energies and charges to zero."""
        for readout in (self.readout, self.charge_readout):
            kernel = readout.dense[-1].kernel
            kernel.assign(ops.zeros_like(kernel))

    def edges(self, graph: MolecularGraph) -> Edges:
        """The pairs of the graph's edges; their unit vectors point from the sender to the receiver."""
        edges = self.radial_basis.edges(graph.positions, graph.positions, graph.receivers, graph.senders)
        return edges._replace(unit_vectors=-edges.unit_vectors)

    def energy_terms(self, graph: MolecularGraph):
        """The terms of the energy; ``charges``, ``multipoles`` (charges, dipoles and quadrupoles of the atoms, e angstrom^k) and
        ``c6_factors`` s."""
        one_hot, edges = self.one_hot(graph), self.edges(graph)
        mm_edges = self.mm_radial_basis.edges(graph.positions, graph.mm_positions, graph.near_receivers, graph.near_senders)
        features, moments, responses = self._pass_messages(one_hot, edges, mm_edges, graph.mm_charges)
        charges = electrostatics.conserve_charge(self.charge_readout(features)[:, 0] / ROOT, graph.system, graph.total_charge)
        moments = ops.concatenate([charges[:, None], moments[:, 1:] / ROOT], axis=1)
        coulomb, dispersion = self._pair_energies(graph, charges, responses[:, 0], one_hot)
        of_atoms = {
            "atomic": self.readout(features)[:, 0],
            "coulomb_qm_qm": coulomb,
            "coulomb_qm_mm": self._mm_energies(graph, moments, mm_edges),
            "dispersion": dispersion,
            "repulsion": self._repulsion(graph, edges),
        }
        n_systems = ops.shape(graph.total_charge)[0]
        terms = {name: safe.segment_sum(energies, graph.system, n_systems) for name, energies in of_atoms.items()}
        return terms, {"charges": charges, "multipoles": multipole_ops.unpack(moments), "c6_factors": responses[:, 0]}

    def _pass_messages(self, one_hot, edges: Edges, mm_edges: Edges, mm_charges) -> tuple[Any, Any, Any]:
        """Final features [n_atoms, n_features], multipoles of channel 0 with what charges induce, packed, and responses [n_atoms, 3]."""
        products = multipole_ops.monomials(edges.unit_vectors, MAX_ORDER)
        features = self.embedding(one_hot)
        pair_features = edge_features = self.edge_embedding(features, edges.radial_basis, edges)
        for number, (expand, pass_messages) in enumerate(zip(self.expansions, self.message_layers, strict=True)):
            multipoles = expand(features, pair_features, products, edges)
            if number == self.n_layers - 1:
                responses = ops.softplus(self.response_readout(features))
                induced = self.polarization(responses[:, 1:], mm_charges, mm_edges)
                moments = multipoles[:, 0] + induced
                multipoles = ops.concatenate([multipoles, induced[:, None]], axis=1)
            features, pair_features = pass_messages(features, multipoles, edge_features, edges)
        return features, moments, responses

    def _pair_energies(self, graph: MolecularGraph, charges, c6_factors, one_hot) -> tuple[Any, Any]:
        """Coulomb and dispersion energies of the atoms among each other, half of each pair's at either end: two of [n_atoms]."""
        ends = (graph.far_receivers, graph.far_senders)
        distances = safe.norm(pair_vectors(graph.positions, graph.positions, *ends))
        is_inside, inside = distances < PAIR_CUTOFF, ops.minimum(distances, PAIR_CUTOFF)

        def of_pairs(values):
            return safe.gather(values, ends[0]) * safe.gather(values, ends[1])

        damping = radial.smooth_step(inside / DAMPING) * electrostatics.reaction_field(inside, PAIR_CUTOFF)
        coulomb = units.COULOMB_CONSTANT * damping * of_pairs(charges)
        c6 = of_pairs(ops.sqrt(ops.matmul(one_hot, self.c6[:, None])[:, 0] * c6_factors))
        radii = of_pairs(ops.matmul(one_hot, self.dispersion_radii[:, None])[:, 0])
        dispersion = dispersion_energies(inside, c6, radii, S8, A1, A2, BOHR, HARTREE)
        n_atoms = ops.shape(graph.positions)[0]
        return tuple(
            safe.segment_sum(ops.where(is_inside, 0.5 * energies, ops.zeros_like(energies)), ends[0], n_atoms)
            for energies in (coulomb, dispersion)
        )

    def _mm_energies(self, graph: MolecularGraph, moments, mm_edges: Edges):
        """Of the atoms' charges and multipoles in the charges around, [n_atoms]."""
        if self.mode == "train":
            tensors = long_range.field_at_atoms(graph, MAX_ORDER, EXPANSION_ORDER if self.expands else None)
            return electrostatics.multipole_field_energies(moments, tensors)
        receivers, charges = mm_edges.receivers, safe.gather(graph.mm_charges, mm_edges.senders)
        distances = ops.maximum(mm_edges.distances, SMALLEST_DISTANCE)
        decays = electrostatics.reaction_field(distances, self.mm_cutoff)
        energies = electrostatics.multipole_charge_energies(moments, charges, decays, distances, mm_edges.unit_vectors, receivers)
        return safe.segment_sum(energies, receivers, ops.shape(graph.positions)[0])

    def _repulsion(self, graph: MolecularGraph, edges: Edges):
        """Half of the repulsion of each pair at either end, [n_atoms]; fades out over the last angstrom before the cut-off."""
        numbers = ops.cast(graph.atomic_numbers, self.compute_dtype)
        energies = zbl_energies(edges.distances, *(safe.gather(numbers, end) for end in (edges.receivers, edges.senders)), BOHR)
        fading = 1.0 - radial.smooth_step(edges.distances - (self.cutoff - 1.0))
        return safe.segment_sum(0.5 * fading * energies, edges.receivers, ops.shape(numbers)[0])

    def compute_systems(
        self, systems: Sequence[System], mm_potentials: bool = False, xla: bool = False, gradients: bool = True
    ) -> dict[str, Any]:
        """As :meth:`Potential.compute_systems`; the ``dipole`` holds charges and atomic dipoles, ``multipoles`` the charges, dipoles and
        quadrupoles of the atoms (e angstrom^k), ``c6_factors`` [n_atoms] the factors on the free atoms' C6."""
        result = super().compute_systems(systems, mm_potentials, xla, gradients)
        atomic = [moments[1].astype(np.float64).sum(axis=0) for moments in result["multipoles"]]
        return result | {"dipole": [dipole + more for dipole, more in zip(result["dipole"], atomic, strict=True)]}

    def _check_system(self, system: System, trained_charges: Sequence[float] | None) -> None:
        symbols = [chemical_symbols[number] for number in system.atomic_numbers]
        unknown = [f"{number} ({symbol})" for number, symbol in enumerate(symbols) if symbol not in self.elements]
        require(
            not unknown,
            f"AMP-BMS knows {', '.join(self.elements)}, not QM atom {', '.join(unknown[:5])}; leave such atoms out of the QM region.",
        )
        super()._check_system(system, trained_charges)
        hydrogens = np.flatnonzero(system.atomic_numbers == 1)
        pairs = [(hydrogens, CLOSEST_HYDROGENS), (np.arange(len(symbols)), SMALLEST_DISTANCE)]
        for atoms, least in pairs:
            for first, second in sorted(cKDTree(system.positions[atoms]).query_pairs(least)) if len(atoms) > 1 else ():
                names = [f"{atom} ({symbols[atom]})" for atom in (atoms[first], atoms[second])]
                distance = np.linalg.norm(system.positions[atoms[first]] - system.positions[atoms[second]])
                require(
                    distance >= least,
                    f"QM atoms {names[0]} and {names[1]} are {distance:.3f} angstrom apart, less than the {least:g} of AMP-BMS; correct "
                    "the geometry, or use another potential.",
                )

    def get_config(self):
        config = super().get_config()
        del config["message_cutoff"]
        return config | {
            "mode": self.mode,
            "mm_cutoff": self.mm_cutoff,
            "polarization_factor": self.polarization_factor,
            "n_layers": self.n_layers,
            "n_features": self.n_features,
            "n_channels": self.n_channels,
        }
