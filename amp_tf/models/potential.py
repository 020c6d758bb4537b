"""The shared base of all potentials: energy terms -> total energy -> exact gradients, of a graph of tensors.

What else a potential does has a file each: it checks systems (:mod:`amp_tf.models.checking`), computes them, NumPy in and NumPy out
(:mod:`amp_tf.models.computing`), is saved (:mod:`amp_tf.models.saving`), loaded (:mod:`amp_tf.models.loading`) and trained
(:mod:`amp_tf.models.training`). Beside :mod:`amp_tf.ops.safe` the mathematics names TensorFlow in three places: here and in training for
derivatives, in computing for compiled functions.
"""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import tensorflow as tf
from ase.data import atomic_numbers as NUMBER_OF_SYMBOL
from keras import ops

from amp_tf import units
from amp_tf.filling import KeptSizes
from amp_tf.graph import GRADIENTS, MolecularGraph
from amp_tf.layers import Edges, make_edges
from amp_tf.models.checking import Checked
from amp_tf.models.computing import Computed
from amp_tf.models.processes import require_no_fork
from amp_tf.models.saving import Saved
from amp_tf.models.settings import (
    checked_elements,
    checked_energies,
    checked_provenance,
    require,
    require_positive,
    require_whole,
)
from amp_tf.models.training import Trainable
from amp_tf.targets import ENERGY, checked_target

# on newer GPUs matrix products would keep ten bits, with which fields of distant charges lose all digits that matter
tf.config.experimental.enable_tensor_float_32_execution(False)

UNITS = {"length": units.LENGTH, "energy": units.ENERGY, "gradient": units.GRADIENT, "charge": units.CHARGE}
PRECISIONS = ("float32", "float64")


class Potential(Checked, Computed, Saved, Trainable):
    """Base of every potential: subclasses give the energy terms, the base their sum and its gradients.

    Args:
        elements: chemical symbols that the model knows, for example ``("H", "O")``.
        cutoff: of the graph's edges, angstrom.
        message_cutoff: ``"smooth"`` weights every edge by a cut-off function with two continuous derivatives (for molecular dynamics),
            ``"none"`` lets edges end abruptly (the paper).
        n_radial: number of Bessel functions.
        atomic_energies: kJ/mol by element, the energy reference; added in float64 to what the network gives.
        target: what is predicted: ``"energy"``, or another property of molecules as a sum over atoms, or ``"mu"``, the magnitude of the
            dipole moment (Eq. 14). Where it is no energy, read its unit for kJ/mol here and elsewhere.
        target_unit: of ``target``; may be left out for those of :data:`amp_tf.targets.TARGET_UNITS`.
        constant: added in float64 once a system, such as the mean of the training data.
        provenance: JSON-able record of the data and settings that the model was trained with; saved with it.
        dtype: ``"float32"`` or ``"float64"``, of every layer.

    Raises:
        InputError: for an unknown element, a cut-off that is not positive, or an unknown choice.
    """

    def __init__(
        self, elements: Sequence[str], cutoff: float, message_cutoff: str = "smooth", n_radial: int = 20,
        atomic_energies: Mapping[str, float] | None = None, provenance: Mapping[str, Any] | None = None, dtype: str = "float32",
        target: str = ENERGY, target_unit: str | None = None, constant: float = 0.0, **kwargs,
    ):  # fmt: skip
        precision = getattr(dtype, "name", dtype)
        require(precision in PRECISIONS, f"dtype must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
        require_no_fork()
        super().__init__(dtype=precision, **kwargs)
        self.elements = checked_elements(elements)
        require_positive(cutoff=cutoff)
        require_whole(1, n_radial=n_radial)
        require(message_cutoff in ("smooth", "none"), f"message_cutoff must be 'smooth' or 'none', got {message_cutoff!r}.")
        self.cutoff, self.message_cutoff, self.n_radial = float(cutoff), str(message_cutoff), int(n_radial)
        self.atomic_energies = checked_energies(atomic_energies, self.elements)
        self.provenance = checked_provenance(provenance)
        self.target, self.target_unit = checked_target(target, target_unit)
        known = self.target == ENERGY or self.predicts_targets
        require(known, f"{type(self).__name__} predicts energies alone, not {self.target}; take AMP, GNN, PaiNN or SchNet.")
        require(isinstance(constant, Real) and np.isfinite(constant), f"constant must be a number, got {constant!r}.")
        self.constant = float(constant)
        self._element_numbers = [NUMBER_OF_SYMBOL[symbol] for symbol in self.elements]
        self._set_ranges()
        self._compiled: dict[tuple[bool, ...], tuple[Any, Any]] = {}
        self._kept_sizes = KeptSizes()

    # What a subclass gives ---------------------------------------------------------------------------------------------------------------

    far_from: float | None = None
    """Pairs of QM atoms at or beyond this distance interact at long range, angstrom; None where the model has no such term."""

    embeds_charges: bool = False
    """Whether the energy depends on MM particles."""

    near_cutoff: float | None = None
    """QM-MM pairs closer than this are listed alone, angstrom; None where the model reads all pairs."""

    mm_nodes: bool = False
    """Whether MM particles are nodes of the graph, of types known by their charges."""

    expands: bool = False
    """Whether particles far from all atoms are expanded about centers, in inference of models with a near cut-off, where pairs are many."""

    sums_in_chunks: bool = False
    """Whether the model can sum QM-MM pairs in chunks of ``pairs_at_once``."""

    pairs_at_once: int | None = None
    """How many QM-MM pairs such a model takes at a time; None, as in training, takes all."""

    predicts_targets: bool = False
    """Whether the model can be made for targets other than the energy."""

    further_label_names: tuple[str, ...] = ()
    """Which of :data:`amp_tf.data.pipeline.FURTHER_LABELS` the model can be trained on."""

    def scale_outputs(self, per_atom: float) -> None:
        """Before the first step: how much energies of the training data deviate, kJ/mol an atom; models that scale outputs by it do so."""

    def start_charges(self, charges: Mapping[str, float]) -> None:
        """Before the first step: charges of the elements, e; models that shift charges start with them."""

    @property
    def lists_near_pairs(self) -> bool:
        """Whether near QM-MM pairs are listed, which are filled up with pairs that end at an MM particle far away."""
        return self.mm_nodes or self.near_cutoff is not None

    sees_total_charge: bool = False
    """Whether the energy depends on the total charge."""

    @property
    def can_be_filled(self) -> bool:
        """Whether edges and MM particles can be added to a graph that change nothing (:func:`amp_tf.filling.filled_graph`)."""
        return self.message_cutoff == "smooth"

    def energy_terms(self, graph: MolecularGraph) -> tuple[dict[str, Any], dict[str, Any]]:
        """The parts of the energy by name, each [n_systems] in kJ/mol, and the properties of atoms that come with them."""
        raise TypeError(f"{type(self).__name__} does not define energy_terms.")

    # Energies and gradients of a graph of tensors ----------------------------------------------------------------------------------------

    def call(self, graph: MolecularGraph) -> dict[str, Any]:
        """Energies of the systems of a graph, relative to the atomic energies.

        Returns:
            ``energy`` [n_systems], kJ/mol, the sum of ``energy_terms`` (by name, each [n_systems]), and the model's properties of atoms,
            such as ``charges`` [n_atoms] and ``multipoles``.
        """
        terms, properties = self.energy_terms(MolecularGraph(*graph))
        return {"energy": sum(terms.values()), "energy_terms": terms, **properties}

    def with_gradients(
        self, graph: MolecularGraph, training: bool = False, *, names: Sequence[str] = ("qm_gradients", "mm_gradients")
    ) -> dict[str, Any]:
        """:meth:`call` and those of its exact derivatives that ``names`` asks for.

        These are ``qm_gradients`` [n_atoms, 3] and ``mm_gradients`` [n_mm, 3], kJ/mol/angstrom, and ``mm_potentials`` [n_mm], the
        derivatives by the MM charges, kJ/mol/e.
        """
        graph = MolecularGraph(*map(tf.convert_to_tensor, graph))
        variables = {name: getattr(graph, GRADIENTS[name]) for name in names}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            result = self(graph, training=training)
            total = tf.reduce_sum(result["energy"])
        gradients = tape.gradient(total, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return {**result, **{name: tf.convert_to_tensor(gradient) for name, gradient in gradients.items()}}

    def one_hot(self, graph: MolecularGraph):
        """One-hot elements, [n_atoms, n_elements]; a row of zeros for an element that the model does not know."""
        matches = ops.equal(graph.atomic_numbers[:, None], ops.convert_to_tensor(self._element_numbers, dtype="int32"))
        return ops.cast(matches, self.compute_dtype)

    def edges(self, graph: MolecularGraph) -> Edges:
        """The pairs of the graph's edges with their geometry."""
        smooth = self.message_cutoff == "smooth"
        return make_edges(graph.positions, graph.positions, graph.receivers, graph.senders, self.cutoff, self.n_radial, smooth)

    # Saving ------------------------------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            "elements": list(self.elements),
            "cutoff": self.cutoff,
            "message_cutoff": self.message_cutoff,
            "n_radial": self.n_radial,
            "atomic_energies": self.atomic_energies,
            "provenance": self.provenance,
            "dtype": self.dtype_policy.name,
            "target": self.target,
            "target_unit": self.target_unit,
            "constant": self.constant,
            "name": self.name,
            "units": UNITS,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Potential":
        """The potential of a configuration, with fresh weights; refuses other units."""
        config = dict(config)
        require((found := config.pop("units", UNITS)) == UNITS, f"the model was saved in units {found}, this amp_tf works in {UNITS}.")
        return cls(**config)

    def copy_for_inference(self, dtype: str | None = None) -> "Potential":
        """A new potential with the same settings and weights and without optimizer and loss: what a finished training run saves.

        ``dtype`` is that of the new potential, by default the same.
        """
        copy = type(self).from_config(self.get_config() | ({} if dtype is None else {"dtype": dtype}))
        copy.set_weights(self.get_weights())
        return copy
