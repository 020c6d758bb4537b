"""How a potential computes systems, NumPy in and NumPy out: graphs, compiled functions, and their results by system."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from ase.data import chemical_symbols

from amp_tf.arrays import without_units
from amp_tf.filling import filled_graph, real_particles, sizes_of
from amp_tf.graph import FLOAT_FIELDS, GRAPH_SHAPES, MolecularGraph, build_graph, join_graphs
from amp_tf.models.processes import require_no_fork
from amp_tf.models.results import require_finite, split_by_system
from amp_tf.models.settings import require
from amp_tf.systems import System, make_systems, naming, warn_of_geometry
from amp_tf.targets import ENERGY

EXPANDED = 1_000_000
"""Where a system has more QM-MM pairs than this, the field of particles far from all atoms is expanded about centers in inference."""

CHUNK = 250_000
"""More QM-MM pairs than this are summed this many at a time in inference; each takes some ten kilobytes."""

_TRACING = threading.RLock()
"""Held while a potential is traced, of which some attributes then say how."""


class Computed:
    """Base of :class:`amp_tf.models.Potential` that computes systems; what it asks of is there."""

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
            xla: compile with XLA, which takes seconds and then computes faster: for many calls on one molecule. Edges and MM
                particles, and the pairs of these where they are nodes, are filled up (:class:`amp_tf.filling.KeptSizes`); compiled anew is
                what does not fit.
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
        del raw["energy"]
        return {"energy": sum(terms.values()), "energy_terms": terms} | split_by_system(systems, raw, self.embeds_charges)

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

        traced = tf.function(evaluation, input_signature=list(graph_signature(self.compute_dtype)), jit_compile=xla, autograph=False)
        self.pairs_at_once, self.expands = CHUNK if in_chunks else None, expands
        try:
            return traced, traced.get_concrete_function()
        finally:
            self.pairs_at_once, self.expands = None, False

    def _filled_graph(self, systems: Sequence[System], expands: bool = False) -> MolecularGraph:
        """As :meth:`build_graph`, pairs and MM particles of each system filled up to numbers that seldom change."""
        require(self.can_be_filled, "xla: this model's edges end abruptly; compute without XLA, or train one with message_cutoff 'smooth'.")
        graphs = []
        for number, system in enumerate(systems):
            with naming(f"system {number}", len(systems) > 1):
                graph = self.build_graph([system], expands)
            n_atoms, needed = len(system.atomic_numbers), sizes_of(graph)
            if self.lists_near_pairs:
                needed = needed._replace(mm=needed.mm + 1)  # the sender of pairs that are added
            sizes = self._kept_sizes.fitting((number, n_atoms, expands), needed)
            sizes = sizes._replace(neighbours=min(sizes.neighbours, n_atoms * (n_atoms - 1) // 2))
            graphs.append(filled_graph(graph, sizes, all_pairs=self.near_cutoff is None))
        return join_graphs(graphs, self.compute_dtype)

    @property
    def n_traces(self) -> int:
        """How often :meth:`compute` was traced by TensorFlow: once, whatever the sizes of the systems, once with
        ``mm_potentials``, with ``xla``, without ``gradients``, and for systems of more than :data:`CHUNK` or :data:`EXPANDED` QM-MM
        pairs."""
        return sum(evaluation.experimental_get_tracing_count() for evaluation, _ in self._compiled.values())


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
