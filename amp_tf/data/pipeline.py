"""From reference data to batches of graphs and labels."""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import amp_tf.backend  # noqa: F401

# isort: split
import tensorflow as tf

from amp_tf.data.hdf5 import HELD_PARTICLES
from amp_tf.data.reference_data import FrameGroup, ReferenceData
from amp_tf.errors import DataFileError, InputError
from amp_tf.filling import filled_particles, nearest_pairs, with_node_pairs
from amp_tf.graph import ATOM_INDICES, MM_INDICES, TABLES, MolecularGraph, count_neighbours, off_atoms
from amp_tf.models.batches import MAXIMUM_PAIRS
from amp_tf.models.computing import graph_signature
from amp_tf.models.potential import Potential
from amp_tf.systems import System

LABELS = ("energy", "qm_gradients", "mm_gradients")

FURTHER_LABELS = ("dipole", "total_charge", "nonhierarchicality")
"""Those of models that predict them: the dipole moment about the centroid (e*angstrom), the sum of charges (e), and
:func:`amp_tf.models.physnet.nonhierarchicality`, which should be zero."""

READ_ERROR = tf.errors.UnknownError
"""What an error becomes that is raised while frames are read in the background."""

_OF_MM = ("mm_positions", "mm_charges", "mm_system", "mm_receivers", "mm_senders")
_MADE_WITH_A_BATCH = dict.fromkeys(("system", *_OF_MM, *TABLES, "centers", "center_of_atom"), np.zeros(0, np.int32))


@dataclass(frozen=True)
class Frames:
    """Systems with their reference values, in float64 and the units of the package; those of a file are made when they are asked for.

    Attributes:
        systems: n systems.
        energies: [n], kJ/mol; or the values of another target of training.
        qm_gradients: n arrays [n_atoms, 3], kJ/mol/angstrom, or None where the data have none.
        mm_gradients: n arrays [n_mm, 3], kJ/mol/angstrom, or None.
        dipole: n arrays [3], e*angstrom, about the centroid of the atoms, or None.
    """

    systems: Sequence[System]
    energies: np.ndarray
    qm_gradients: Sequence[np.ndarray] | None = None
    mm_gradients: Sequence[np.ndarray] | None = None
    dipole: Sequence[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.systems)

    def __getitem__(self, indices: np.ndarray) -> "Frames":
        """The frames of the given numbers."""
        columns = (self.systems, self.qm_gradients, self.mm_gradients, self.dipole)
        systems, *labels = (None if column is None else _Each(column.__getitem__, indices) for column in columns)
        return Frames(systems, self.energies[indices], *labels)

    @classmethod
    def from_reference_data(cls, data: ReferenceData, target: str = "energy") -> "Frames":
        """All frames of a file, group by group in the order of the file, with energies and gradients or the values of another target.

        Raises:
            DataFileError: if some groups have gradients and others lack them, or if some lack the target.
        """
        values = [group.energies if target == "energy" else group.targets.get(target) for group in data.groups]
        if any(of_group is None for of_group in values):
            held = [*(["energy"] if all(group.energies is not None for group in data.groups) else []), *data.target_names]
            raise DataFileError(f"{data.source}: no {target} in all of its frames, which have {', '.join(held)}; choose one of these.")
        if target != "energy":
            data.unit_of(target)  # which must be one
        numbers = [(group, frame) for group in data.groups for frame in range(len(group))]
        gradients: dict[str, Sequence | None] = {"qm_gradients": None, "mm_gradients": None}
        for name, read in {"qm_gradients": _qm_gradients, "mm_gradients": _mm_gradients}.items() if target == "energy" else ():
            if all(getattr(group, name) is None for group in data.groups):
                continue
            if any(getattr(group, name) is None and (name == "qm_gradients" or group.mm_offsets is not None) for group in data.groups):
                raise DataFileError(
                    f"{data.source}: some groups have {name} and others lack them; split the file or add the missing labels."
                )
            gradients[name] = _Each(read, numbers)
        systems = _Each(lambda number: number[0].system(number[1]), numbers)
        has_dipoles = target == "energy" and all(group.dipoles is not None for group in data.groups)
        return cls(systems, np.concatenate(values), **gradients, dipole=_Each(_dipole, numbers) if has_dipoles else None)


class _Each(Sequence):
    """``read(number)`` for each of some numbers, called whenever an entry is asked for."""

    def __init__(self, read: Callable[[Any], Any], numbers: Sequence):
        self._read, self._numbers = read, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int | slice) -> Any:
        return _Each(self._read, self._numbers[index]) if isinstance(index, slice) else self._read(self._numbers[index])


def _qm_gradients(number: tuple[FrameGroup, int]) -> np.ndarray:
    group, frame = number
    return group.qm_gradients[frame]


def _dipole(number: tuple[FrameGroup, int]) -> np.ndarray:
    """About the centroid; that of an ion in a file is about the origin."""
    group, frame = number
    return group.dipoles[frame] - group.total_charge * group.qm_positions[frame].mean(axis=0)


def _mm_gradients(number: tuple[FrameGroup, int]) -> np.ndarray:
    group, frame = number
    return np.zeros((0, 3)) if group.mm_offsets is None else group.mm_gradients[group.mm_particles(frame)]


class GraphBatches:
    """Graphs of frames, built once and held as ragged tensors, and the batches that training and evaluation gather from them.

    The gathering runs in tf.data, without Python: for small models a Python generator costs more than the training step. Only where the
    frames have more than :data:`~amp_tf.data.hdf5.HELD_PARTICLES` MM particles are these read frame by frame, in the background. Pairs of
    QM atoms and MM particles are listed as a batch is made, because they take more memory than all else.

    Args:
        potential: decides which pairs are listed, the precision and the energy reference, which is subtracted in float64.
        frames: the data.
        labels: which of :data:`LABELS` and :data:`FURTHER_LABELS` come with a batch.
        one_shape: give every frame as many edges and MM particles (one more where these are nodes) as the largest has, so that XLA compiles
            a step once. What is added changes nothing (:func:`amp_tf.filling.filled_graph`; the mean of the MM gradients' loss counts the
            added particles, whose gradients are zero). Only for one number of atoms, and only where edges end smoothly; otherwise the
            frames stay as they are.

    Attributes:
        one_shape: whether the frames have been given one shape.
        n_shapes: numbers of atoms, edges and MM particles that the frames came in.
        read_error: what was raised while frames were read in the background.
        n_values: of each label in the data, by name.

    Raises:
        InputError: if there is no frame, or an element is unknown to the potential.
        DataFileError: if the data lack a label.
    """

    def __init__(self, potential: Potential, frames: Frames, labels: Sequence[str] = ("energy",), one_shape: bool = False):
        if not len(frames):
            raise InputError("the data set is empty: give at least one frame.")
        if unknown := set(labels) - {*LABELS, *FURTHER_LABELS}:
            raise InputError(f"unknown labels {sorted(unknown)}; known are {', '.join([*LABELS, *FURTHER_LABELS])}.")
        for label in set(labels) - {"energy", "total_charge", "nonhierarchicality"}:
            if getattr(frames, label) is None:
                raise DataFileError(
                    f"the data lack the label {label!r}; set gradient_weight to 0 to train on energies alone, or add it to the data."
                )
        self._all_pairs = potential.near_cutoff is None
        self._frames, self._signature = frames, graph_signature(potential.compute_dtype)
        self.read_error: Exception | None = None
        graphs, energies, n_mm = [], [], []
        for system, energy in zip(frames.systems, frames.energies, strict=True):
            graphs.append(potential.build_graph([system])._replace(**_MADE_WITH_A_BATCH))
            energies.append(np.array([energy - potential.reference_energies([system])[0]], potential.compute_dtype))
            n_mm.append(len(system.mm_charges))
        self._largest_pairs = max(len(graph.atomic_numbers) * n for graph, n in zip(graphs, n_mm, strict=True))
        n_atoms = [len(graph.atomic_numbers) for graph in graphs]
        self.n_values = {
            "energy": len(graphs), "qm_gradients": 3 * sum(n_atoms), "mm_gradients": 3 * sum(n_mm), "dipole": 3 * len(graphs),
            "total_charge": len(graphs), "nonhierarchicality": sum(n_atoms),
        }  # fmt: skip
        self.n_shapes = len({(len(graph.atomic_numbers), len(graph.receivers), n) for graph, n in zip(graphs, n_mm, strict=True)})
        self.one_shape = one_shape and potential.can_be_filled and len(set(n_atoms)) == 1
        if self.one_shape:
            n_mm = [max(n_mm) + 1 if potential.lists_near_pairs else max(n_mm)] * len(n_mm)  # one more, for added pairs to end at
            n_neighbours = max(count_neighbours(graph.positions, potential.cutoff) for graph in graphs)
            pairs = [nearest_pairs(graph.positions, n_neighbours) for graph in graphs]
            graphs = [graph._replace(receivers=ends[0], senders=ends[1]) for graph, ends in zip(graphs, pairs, strict=True)]
            node_pairs = [max(len(getattr(graph, name)) for graph in graphs) for name in ("near_senders", "mm_mm_senders")]
            graphs = [with_node_pairs(graph, *node_pairs, n_mm[0] - 1) for graph in graphs]
        self._n_mm = np.array(n_mm, np.int32)
        columns = MolecularGraph(*zip(*graphs, strict=True))._asdict()
        self._fields = {name: _ragged(column) for name, column in columns.items() if name not in _MADE_WITH_A_BATCH}
        self._labels = {"energy": _ragged(energies)}
        if "qm_gradients" in labels:
            self._labels["qm_gradients"] = _ragged([np.asarray(part, potential.compute_dtype) for part in frames.qm_gradients])
        if "dipole" in labels:
            self._labels["dipole"] = _ragged([np.asarray(vector, potential.compute_dtype)[None] for vector in frames.dipole])
        if "total_charge" in labels:
            self._labels["total_charge"] = _ragged([graph.total_charge for graph in graphs])
        if "nonhierarchicality" in labels:
            self._labels["nonhierarchicality"] = _ragged([np.zeros(n, potential.compute_dtype) for n in n_atoms])
        self._of_mm = ["mm_positions", "mm_charges", *(["mm_gradients"] if "mm_gradients" in labels else [])]
        self._held = None
        if sum(n_mm) <= HELD_PARTICLES:
            self._held = [_ragged(column) for column in zip(*map(self._read, range(len(self))), strict=True)]

    def __len__(self) -> int:
        return len(self._n_mm)

    def batch(self, indices) -> tuple[MolecularGraph, dict[str, tf.Tensor]]:
        """(graph, labels) of the frames of the given numbers, the systems concatenated in that order."""
        parts = {name: tf.gather(field, indices) for name, field in self._fields.items()}
        n_atoms, n_mm = tf.cast(parts["atomic_numbers"].row_lengths(), tf.int32), tf.gather(self._n_mm, indices)
        first_atom, first_mm = tf.cumsum(n_atoms, exclusive=True), tf.cumsum(n_mm, exclusive=True)
        values = {name: part.values for name, part in parts.items()}
        for name, first in (dict.fromkeys(ATOM_INDICES, first_atom) | dict.fromkeys(MM_INDICES, first_mm)).items():
            if name in parts:
                values[name] += tf.gather(first, parts[name].value_rowids())
        systems = tf.range(tf.size(n_mm))
        values |= {"system": tf.repeat(systems, n_atoms), "mm_system": tf.repeat(systems, n_mm)}
        ends = _all_pairs(values["system"], n_mm, first_mm) if self._all_pairs else (tf.zeros(0, tf.int32),) * 2
        values["mm_receivers"], values["mm_senders"] = ends
        values |= {"atom_table": _table(n_atoms), "mm_table": _table(n_mm), "expanded_table": _table(tf.zeros_like(n_mm))}
        values["centers"] = tf.zeros((tf.size(n_mm), 1, 3), self._signature.centers.dtype)
        values["center_of_atom"] = tf.zeros_like(values["system"])
        values |= zip(self._of_mm, self._particles(indices), strict=True)
        labels = {name: tf.gather(column, indices).values for name, column in self._labels.items()}
        labels |= {name: values[name] for name in self._of_mm if name in LABELS}
        graph = MolecularGraph(**{name: tf.ensure_shape(values[name], spec.shape) for name, spec in self._signature._asdict().items()})
        return graph, labels

    def _particles(self, indices) -> list[tf.Tensor]:
        """What ``_of_mm`` names, of the frames of the given numbers."""
        if self._held is not None:
            return [tf.gather(column, indices).values for column in self._held]

        batches = weakref.ref(self)  # TensorFlow keeps the function for good, and must not keep the data with it

        def read(numbers):
            try:
                return [np.concatenate(column) for column in zip(*map(batches()._read, numbers), strict=True)]
            except Exception as error:
                batches().read_error = error
                raise OSError(str(error)) from error  # which TensorFlow makes READ_ERROR of; of a ValueError, say, it makes another one

        arrays = tf.numpy_function(read, [indices], [self._signature.mm_charges.dtype] * len(self._of_mm), stateful=False)
        return [
            tf.ensure_shape(array, [None] if name == "mm_charges" else [None, 3]) for name, array in zip(self._of_mm, arrays, strict=True)
        ]

    def _read(self, frame: int) -> tuple[np.ndarray, ...]:
        """What ``_of_mm`` names, of one frame, filled up where frames have one shape."""
        system, dtype, n_mm = self._frames.systems[frame], self._signature.mm_charges.dtype.as_numpy_dtype, self._n_mm[frame]
        positions = (off_atoms(system) - system.positions.mean(axis=0)).astype(dtype)
        particles = filled_particles(positions, system.mm_charges.astype(dtype), n_mm)
        if "mm_gradients" not in self._of_mm:
            return particles
        gradients = np.zeros((n_mm, 3), dtype)
        gradients[: len(positions)] = self._frames.mm_gradients[frame]
        return *particles, gradients

    def training(self, batch_size: int, seed: int, steps: int, first_step: int = 0) -> tf.data.Dataset:
        """Shuffled batches of the steps ``first_step`` to ``steps``; they depend on ``seed`` and the number of the step alone."""
        numbers = tf.data.Dataset.from_tensor_slices(_shuffled(len(self), batch_size, seed, steps)[first_step:])
        return self._batched(numbers, 8)

    def evaluation(self, batch_size: int) -> tf.data.Dataset:
        """Every frame once, in order; fewer than ``batch_size`` at a time where MM particles are many."""
        batch_size = min(batch_size, max(1, MAXIMUM_PAIRS // max(1, self._largest_pairs)))
        return self._batched(tf.data.Dataset.range(len(self)).batch(batch_size), 2)

    def _batched(self, numbers: tf.data.Dataset, n_ahead: int) -> tf.data.Dataset:
        dataset = numbers.map(self.batch).prefetch(n_ahead)
        dataset.batches = self  # which lives as long as what reads from it
        return dataset


def _table(counts) -> tf.Tensor:
    """The numbers of the members of each system, [n_systems, most members], filled up with −1, from how many each has."""
    return tf.RaggedTensor.from_row_lengths(tf.range(tf.reduce_sum(counts)), counts).to_tensor(-1)


def _all_pairs(system, n_mm, first_mm) -> tuple[tf.Tensor, tf.Tensor]:
    """Every pair of an atom and an MM particle of its system, atom by atom: [n_pairs] numbers of the atoms and of the particles.

    Args:
        system: [n_atoms], of each atom.
        n_mm, first_mm: [n_systems], how many MM particles a system has, and the number of its first.
    """
    of_atom = tf.gather(n_mm, system)
    shift = tf.gather(first_mm, system) - tf.cumsum(of_atom, exclusive=True)
    return tf.repeat(tf.range(tf.size(system)), of_atom), tf.range(tf.reduce_sum(of_atom)) + tf.repeat(shift, of_atom)


def _ragged(arrays: Sequence[np.ndarray]) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_lengths(np.concatenate(arrays), [len(array) for array in arrays], validate=False)


def _shuffled(n_frames: int, batch_size: int, seed: int, steps: int) -> np.ndarray:
    """[steps, batch_size] frame numbers: one permutation of all frames after the other, cut into batches."""
    generator = np.random.default_rng(seed)
    stream = np.empty(steps * batch_size, np.int32)
    for first in range(0, len(stream), n_frames):
        stream[first : first + n_frames] = generator.permutation(n_frames)[: len(stream) - first]
    return stream.reshape(steps, batch_size)
