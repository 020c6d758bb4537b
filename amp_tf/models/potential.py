"""The shared base of all potentials: energy terms -> total energy -> exact gradients; NumPy in, NumPy out; saving and loading.

Beside :mod:`amp_tf.ops.safe` this is the one place of the mathematics that names TensorFlow: for derivatives and compiled functions.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ase.data import atomic_numbers as NUMBER_OF_SYMBOL
from ase.data import chemical_symbols
from keras import ops

from amp_tf import units
from amp_tf.arrays import without_units
from amp_tf.errors import AmpTFError
from amp_tf.files import whole_file
from amp_tf.graph import (
    FLOAT_FIELDS,
    GRAPH_SHAPES,
    MolecularGraph,
    build_graph,
    filled_graph,
    join_graphs,
    real_particles,
    rounded_up,
)
from amp_tf.layers import Edges, make_edges
from amp_tf.models.checking import Checked
from amp_tf.models.processes import require_no_fork, unpickled
from amp_tf.models.results import require_finite
from amp_tf.models.settings import (
    checked_elements,
    checked_energies,
    checked_provenance,
    require,
    require_positive,
    require_whole,
)
from amp_tf.models.training import GRADIENTS, Trainable
from amp_tf.systems import System, make_systems, naming, warn_of_geometry
from amp_tf.targets import ENERGY, checked_target

# on newer GPUs matrix products would keep ten bits, with which fields of distant charges lose all digits that matter
tf.config.experimental.enable_tensor_float_32_execution(False)

UNITS = {"length": units.LENGTH, "energy": units.ENERGY, "gradient": units.GRADIENT, "charge": units.CHARGE}
PRECISIONS = ("float32", "float64")

EXPANDED = 1_000_000
"""Where a system has more QM-MM pairs than this, the field of particles far from all atoms is expanded about centers in inference."""

CHUNK = 250_000
"""More QM-MM pairs than this are summed this many at a time in inference; each takes some ten kilobytes."""

_TRACING = threading.RLock()
"""Held while a potential is traced, of which some attributes then say how."""


class Potential(Checked, Trainable):
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
    """Whether particles far from all atoms are expanded about centers: in inference of models with a near cut-off, where pairs are many."""

    sums_in_chunks: bool = False
    """Whether the model can sum QM-MM pairs in chunks of ``pairs_at_once``."""

    pairs_at_once: int | None = None
    """How many QM-MM pairs such a model takes at a time; None, as in training, takes all."""

    predicts_targets: bool = False
    """Whether the model can be made for targets other than the energy."""

    @property
    def lists_near_pairs(self) -> bool:
        """Whether near QM-MM pairs are listed, which are filled up with pairs that end at an MM particle far away."""
        return self.mm_nodes or self.near_cutoff is not None

    sees_total_charge: bool = False
    """Whether the energy depends on the total charge."""

    @property
    def can_be_filled(self) -> bool:
        """Whether edges and MM particles can be added to a graph that change nothing (:func:`amp_tf.graph.filled_graph`)."""
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

    # NumPy in, NumPy out -----------------------------------------------------------------------------------------------------------------

    def build_graph(self, systems: Sequence[System], expands: bool = False) -> MolecularGraph:
        """The batch that this model reads, as NumPy arrays in its precision; ``expands`` as in :func:`amp_tf.graph.build_graph`.

        Raises:
            InputError: as :meth:`check_systems`.
        """
        self.check_systems(systems)
        return build_graph(systems, self.cutoff, self.compute_dtype, self.far_from, self.mm_nodes, self.near_cutoff, expands)

    def reference_energies(self, systems: Sequence[System]) -> np.ndarray:
        """Sum of the atomic energies of each system and the constant, [n_systems] float64, kJ/mol."""
        sums = [sum(self.atomic_energies[chemical_symbols[number]] for number in system.atomic_numbers) for system in systems]
        return np.array(sums, dtype=float) + self.constant

    def compute(
        self, atomic_numbers, positions, mm_positions=None, mm_charges=None, total_charge=0.0, mm_total_charge=None,
        mm_potentials: bool = False, xla: bool = False, cell=None, gradients: bool | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Energy, gradients and properties of one system or a list of systems; or the model's other target.

        Warnings tell where a geometry is no chemistry: lengths in another unit, or molecules that a periodic box has torn; and, once each,
        where distances or MM charges are outside those of the training data (:mod:`amp_tf.models.ranges`).

        Args:
            atomic_numbers: [n_atoms] integers, or a list of such arrays; one such array serves all frames of a trajectory.
            positions: [n_atoms, 3], angstrom, or a list. Here and below quantities of OpenMM are converted.
            mm_positions: [n_mm, 3], angstrom, or a list; None without MM particles.
            mm_charges: [n_mm], e, or a list.
            total_charge: of the atoms, e, or a list; without -P, which sees it, only 0 or one of the training data.
            mm_total_charge: what the MM charges should sum to, e, or a list; a warning tells where they do not. None: no check.
            mm_potentials: also give the derivatives of the energy by the MM charges, the electrostatic potential at their sites.
            xla: compile with XLA, which takes seconds and then computes half again as fast: for many calls on one molecule. Edges and MM
                particles, and the pairs of these where they are nodes, are filled up to an eighth more
                (:func:`amp_tf.graph.filled_graph`); compiled anew is what does not fit.
            cell: [3] edges of a box or [3, 3] vectors, angstrom, in which the MM particles of all systems are periodic: whole molecules
                are taken from the image nearest to the atoms. Atoms are never shifted.
            gradients: whether to compute them; by default those of energies alone.

        Returns:
            ``energy`` (float, kJ/mol, atomic energies included), ``energy_terms`` (its parts by name; ``reference``: the atomic energies),
            ``qm_gradients`` [n_atoms, 3] and, with MM particles, ``mm_gradients`` [n_mm, 3] (kJ/mol/angstrom), on request
            ``mm_potentials`` [n_mm] (kJ/mol/e), and where the model has them
            ``charges`` [n_atoms] (e), ``dipole`` [3] (e*angstrom, about the centroid of the atoms) and ``multipoles`` (a tuple over
            orders). For a list of systems: energies [n_systems], lists of the rest. A model of another target gives that by its name
            (``homo``, float) and ``unit`` instead of energies.

        Raises:
            InputError: for wrong shapes, units other than OpenMM's, masked, NaN, infinite or absurdly large values, particles too close to
                each other, an unknown element, no system, potentials of a model that reads MM charges as types, XLA with edges that end
                abruptly, inside a ``tf.function``, or where the result is NaN or infinite.
            AmpTFError: in a process that was forked after TensorFlow ran.

        """
        _require_eager()
        columns = {
            "atomic_numbers": atomic_numbers, "positions": positions, "mm_positions": mm_positions, "mm_charges": mm_charges,
            "total_charge": total_charge, "mm_total_charge": mm_total_charge,
        }  # fmt: skip
        columns = {name: without_units(value, name) for name, value in columns.items()}
        is_batch = _is_batch(columns["positions"])
        if not is_batch:
            columns = {name: [value] for name, value in columns.items()}
        systems = make_systems(**columns, cell=cell)
        self.check_charges(systems)
        warn_of_geometry(systems)
        self.warn_of_ranges(systems)
        batch = self.compute_systems(systems, mm_potentials, xla, self.target == ENERGY if gradients is None else gradients)
        energies, terms = batch.pop("energy"), batch.pop("energy_terms")
        if not is_batch:
            energies, terms = float(energies[0]), {name: float(term[0]) for name, term in terms.items()}
            batch = {key: value[0] for key, value in batch.items()}
        if self.target != ENERGY:
            return {self.target: energies, "unit": self.target_unit, **batch}
        return {ENERGY: energies, "energy_terms": terms, **batch}

    def compute_systems(
        self, systems: Sequence[System], mm_potentials: bool = False, xla: bool = False, gradients: bool = True
    ) -> dict[str, Any]:
        """:meth:`compute` of a list of :class:`~amp_tf.systems.System`; other targets too are called ``energy``."""
        _require_eager()
        require_no_fork()
        if mm_potentials:
            require(self.embeds_charges, "mm_potentials: this model has no term for MM particles; use one with -D or -P.")
            require(not self.mm_nodes, "mm_potentials: this model reads MM charges as types; use one without mm_types.")
        n_pairs = max((len(system.positions) * len(system.mm_charges) for system in systems), default=0)
        expands = self.near_cutoff is not None and n_pairs > EXPANDED
        graph = self._filled_graph(systems, expands) if xla else self.build_graph(systems, expands)
        in_chunks = self.sums_in_chunks and len(graph.mm_senders) > CHUNK
        raw = self._compile(mm_potentials, in_chunks, expands, xla, gradients)(*map(tf.constant, graph))
        raw = tf.nest.map_structure(lambda tensor: tensor.numpy(), raw)
        if xla:
            is_real = real_particles(graph, systems)
            raw |= {name: raw[name][is_real] for name in ("mm_gradients", "mm_potentials") if name in raw}
        require_finite(systems, raw)
        terms = {"reference": self.reference_energies(systems)} | {
            name: term.astype(np.float64) for name, term in raw.pop("energy_terms").items()
        }
        raw.pop("energy")
        result = {"energy": sum(terms.values()), "energy_terms": terms}
        atom_splits = np.cumsum([len(system.atomic_numbers) for system in systems])[:-1]
        mm_splits = np.cumsum([len(system.mm_charges) for system in systems])[:-1]
        of_mm = {name: np.split(raw.pop(name), mm_splits) for name in ("mm_gradients", "mm_potentials") if name in raw}
        vectors = raw.pop("dipole", None)
        if self.embeds_charges:
            result |= of_mm
        if "multipoles" in raw:
            split_orders = [np.split(moment, atom_splits) for moment in raw.pop("multipoles")]
            result["multipoles"] = list(zip(*split_orders, strict=True))
        result |= {name: np.split(values, atom_splits) for name, values in raw.items()}
        if vectors is not None:
            result["dipole"] = list(vectors)
        elif "charges" in result:
            result["dipole"] = [
                charges.astype(np.float64) @ (system.positions - system.positions.mean(axis=0))
                for charges, system in zip(result["charges"], systems, strict=True)
            ]
        return result

    def _compile(self, mm_potentials: bool, in_chunks: bool, expands: bool, xla: bool, gradients: bool):
        """The traced :meth:`with_gradients`, called with the fields of a graph one by one."""
        key = mm_potentials, in_chunks, expands, xla, gradients
        if key not in self._compiled:
            with _TRACING:
                if key not in self._compiled:
                    self._compiled[key] = self._trace(*key)
        return self._compiled[key][1]

    def _trace(self, mm_potentials: bool, in_chunks: bool, expands: bool, xla: bool, gradients: bool):
        names = (*(("qm_gradients", "mm_gradients") if gradients else ()), *(("mm_potentials",) if mm_potentials else ()))

        def evaluation(*fields):  # a call with a tuple, or of a function that takes one, would cost half a millisecond more
            return self.with_gradients(MolecularGraph(*fields), names=names)

        traced = tf.function(evaluation, input_signature=list(graph_signature(self.compute_dtype)), jit_compile=xla)
        self.pairs_at_once, self.expands = CHUNK if in_chunks else None, expands
        try:
            return traced, traced.get_concrete_function()
        finally:
            self.pairs_at_once, self.expands = None, False

    def _filled_graph(self, systems: Sequence[System], expands: bool = False) -> MolecularGraph:
        """As :meth:`build_graph`, edges and MM particles of each system filled up to numbers that seldom change."""
        require(self.can_be_filled, "xla: this model's edges end abruptly; compute without XLA, or train one with message_cutoff 'smooth'.")
        graphs = []
        for number, system in enumerate(systems):
            with naming(f"system {number}", len(systems) > 1):
                graph = self.build_graph([system], expands)
            n_atoms, n_mm = len(system.atomic_numbers), len(system.mm_charges)
            n_neighbours = min(rounded_up(len(graph.receivers) // 2), n_atoms * (n_atoms - 1) // 2)
            pairs = (rounded_up(len(graph.near_senders)), rounded_up(len(graph.mm_mm_senders)))
            n_filled = rounded_up(n_mm + 1 if self.lists_near_pairs else n_mm)
            graphs.append(filled_graph(graph, n_neighbours, n_filled, *pairs, all_pairs=self.near_cutoff is None))
        return join_graphs(graphs, self.compute_dtype)

    @property
    def n_traces(self) -> int:
        """How often :meth:`compute` was traced by TensorFlow: once, whatever the sizes of the systems, once with
        ``mm_potentials``, with ``xla``, without ``gradients``, and for systems of more than :data:`CHUNK` or :data:`EXPANDED` QM-MM
        pairs."""
        return sum(evaluation.experimental_get_tracing_count() for evaluation, _ in self._compiled.values())

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

    def save(self, filepath: Path | str, overwrite: bool = True, **settings) -> None:
        """Save to a ``.keras`` file, which is whole or not there, whatever happens.

        Raises:
            InputError: for what is no path that ends in ``.keras``, or, without ``overwrite``, a file that is there already.
            AmpTFError: if it cannot be written.
        """
        is_path = isinstance(filepath, str | os.PathLike)
        require(is_path and Path(filepath).suffix == ".keras", f"a potential is saved to a path that ends in .keras, got {filepath!r}.")
        require(settings.pop("zipped", True) is not False, "a potential is one file; leave zipped=False, which makes a folder, out.")
        path = Path(filepath)
        require(overwrite or not os.path.exists(path), f"{path} is there already; choose another name.")
        if os.path.isdir(path):
            raise AmpTFError(f"{path} is a folder; choose another name.")
        with whole_file(path) as partial:
            super().save(partial, **settings)

    def save_weights(self, filepath: Path | str, overwrite: bool = True, **settings) -> None:
        """As Keras's, to one file that is whole or not there, whatever happens.

        Raises:
            InputError: for what is no path that ends in ``.weights.h5``, or, without ``overwrite``, a file that is there already.
            AmpTFError: if it cannot be written.
        """
        is_path = isinstance(filepath, str | os.PathLike)
        require(
            is_path and os.fspath(filepath).endswith(".weights.h5"),
            f"weights are saved to a path that ends in .weights.h5, got {filepath!r}.",
        )
        require(overwrite or not os.path.exists(filepath), f"{filepath} is there already; choose another name.")
        with whole_file(filepath) as partial:
            super().save_weights(partial, **settings)

    def __reduce__(self):
        return unpickled, super().__reduce__()


def _require_eager() -> None:
    require(
        tf.executing_eagerly(),
        "compute takes and gives NumPy arrays and cannot be part of a tf.function; call potential.with_gradients(graph) there.",
    )


def _is_batch(positions) -> bool:
    """Whether ``positions`` are those of several systems: a list of arrays, or one array [n_systems, n_atoms, 3]."""
    try:
        return len(positions) == 0 or np.ndim(positions[0]) == 2
    except (TypeError, ValueError, IndexError):
        return False


def graph_signature(dtype: str) -> MolecularGraph:
    """The types and shapes of a graph's fields with open sizes: a function traced with it serves every batch."""
    fields = zip(MolecularGraph._fields, GRAPH_SHAPES, strict=True)
    return MolecularGraph(*(tf.TensorSpec(shape, dtype if name in FLOAT_FIELDS else "int32", name=name) for name, shape in fields))
