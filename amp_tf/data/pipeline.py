"""From reference data to batches of graphs and labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from amp_tf.data.hdf5 import FrameGroup, ReferenceData
from amp_tf.errors import DataFileError, InputError
from amp_tf.graph import ATOM_INDICES, MM_INDICES, MolecularGraph, System, count_neighbours, filled_graph
from amp_tf.models.potential import Potential, graph_signature

LABELS = ("energy", "qm_gradients", "mm_gradients")

MAXIMUM_PAIRS = 200_000
"""QM-MM pairs that are evaluated at once; each takes a few kilobytes."""


@dataclass(frozen=True)
class Frames:
    """Systems with their reference values, in float64 and the units of the package.

    Attributes:
        systems: n systems.
        energies: [n], kJ/mol.
        qm_gradients: n arrays [n_atoms, 3], kJ/mol/angstrom, or None where the data have none.
        mm_gradients: n arrays [n_mm, 3], kJ/mol/angstrom, or None.
    """

    systems: Sequence[System]
    energies: np.ndarray
    qm_gradients: Sequence[np.ndarray] | None = None
    mm_gradients: Sequence[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.systems)

    def __getitem__(self, indices: np.ndarray) -> "Frames":
        """The frames of the given numbers."""
        return Frames(
            [self.systems[index] for index in indices],
            self.energies[indices],
            *(
                None if gradients is None else [gradients[index] for index in indices]
                for gradients in (self.qm_gradients, self.mm_gradients)
            ),
        )

    @classmethod
    def from_reference_data(cls, data: ReferenceData) -> "Frames":
        """All frames of a file, group by group in the order of the file.

        Raises:
            DataFileError: if some groups have gradients and others lack them.
        """
        systems = [group.system(frame) for group in data.groups for frame in range(len(group))]
        columns = {}
        for name, parts in {"qm_gradients": _qm_gradients, "mm_gradients": _mm_gradients}.items():
            known = [parts(group) for group in data.groups]
            columns[name] = [frame for group in known if group is not None for frame in group]
            if any(group is None for group in known) and any(getattr(group, name) is not None for group in data.groups):
                raise DataFileError(
                    f"{data.source}: some groups have {name} and others lack them; split the file or add the missing labels."
                )
        has_mm = any(group.mm_gradients is not None for group in data.groups)
        energies = np.concatenate([group.energies for group in data.groups])
        return cls(systems, energies, columns["qm_gradients"] or None, columns["mm_gradients"] if has_mm else None)


def _qm_gradients(group: FrameGroup) -> list[np.ndarray] | None:
    return None if group.qm_gradients is None else list(group.qm_gradients)


def _mm_gradients(group: FrameGroup) -> list[np.ndarray] | None:
    """One array a frame; None where the group has MM particles without gradients."""
    if group.mm_offsets is None:
        return [np.zeros((0, 3))] * len(group)
    return None if group.mm_gradients is None else np.split(group.mm_gradients, group.mm_offsets[1:-1])


class GraphBatches:
    """Graphs of frames, built once and held as ragged tensors, and the batches that training and evaluation gather from them.

    The gathering runs in tf.data, without Python: for small models a Python generator costs more than the training step. Pairs of QM atoms
    and MM particles are listed as a batch is made, because they take more memory than all else.

    Args:
        potential: decides which pairs are listed, the precision and the energy reference, which is subtracted in float64.
        frames: the data.
        labels: which of ``energy``, ``qm_gradients``, ``mm_gradients`` come with a batch.
        one_shape: give every frame as many edges and MM particles as the largest has, so that XLA compiles a step once. What is added
            changes nothing (:func:`amp_tf.graph.filled_graph`; the mean of the MM gradients' loss counts the added particles, whose
            gradients are zero). Only for one number of atoms, and only where edges end smoothly; otherwise the frames stay as they are.

    Raises:
        InputError: if there is no frame, or an element is unknown to the potential.
        DataFileError: if the data lack a label.
    """

    def __init__(self, potential: Potential, frames: Frames, labels: Sequence[str] = ("energy",), one_shape: bool = False):
        if not len(frames):
            raise InputError("the data set is empty: give at least one frame.")
        if unknown := set(labels) - set(LABELS):
            raise InputError(f"unknown labels {sorted(unknown)}; known are {', '.join(LABELS)}.")
        columns = {"energy": (frames.energies - potential.reference_energies(frames.systems))[:, None]}
        for label in set(labels) - {"energy"}:
            columns[label] = getattr(frames, label)
            if columns[label] is None:
                raise DataFileError(
                    f"the data lack the label {label!r}; set gradient_weight to 0 to train on energies alone, or add it to the data."
                )
        n_mm = [len(system.mm_charges) for system in frames.systems]
        self._largest_pairs = max(len(system.atomic_numbers) * n for system, n in zip(frames.systems, n_mm, strict=True))
        one_shape = one_shape and potential.message_cutoff == "smooth" and not potential.mm_nodes
        one_shape = one_shape and len({len(system.atomic_numbers) for system in frames.systems}) == 1
        if one_shape and "mm_gradients" in columns:
            missing = [max(n_mm) - n for n in n_mm]
            columns["mm_gradients"] = [
                np.concatenate([part, np.zeros((n, 3))]) for part, n in zip(columns["mm_gradients"], missing, strict=True)
            ]
        graphs = _graphs_of_one_shape(potential, frames.systems) if one_shape else map(potential.build_graph, zip(frames.systems))
        graphs = [graph._replace(mm_receivers=graph.mm_receivers[:0], mm_senders=graph.mm_senders[:0]) for graph in graphs]
        self._n_frames, self._signature = len(graphs), graph_signature(potential.compute_dtype)
        self._fields = MolecularGraph(*(_ragged(arrays) for arrays in zip(*graphs, strict=True)))
        self._labels = {name: _ragged([np.asarray(part, potential.compute_dtype) for part in column]) for name, column in columns.items()}

    def __len__(self) -> int:
        return self._n_frames

    def batch(self, indices) -> tuple[MolecularGraph, dict[str, tf.Tensor]]:
        """(graph, labels) of the frames of the given numbers, the systems concatenated in that order."""
        parts = {name: tf.gather(field, indices) for name, field in self._fields._asdict().items()}
        n_mm = tf.cast(parts["mm_charges"].row_lengths(), tf.int32)
        first_atom = tf.cumsum(tf.cast(parts["atomic_numbers"].row_lengths(), tf.int32), exclusive=True)
        first_mm = tf.cumsum(n_mm, exclusive=True)
        firsts = dict.fromkeys(ATOM_INDICES, first_atom) | dict.fromkeys(MM_INDICES, first_mm)
        values = {name: part.values for name, part in parts.items()}
        for name, first in firsts.items():
            values[name] += tf.gather(first, parts[name].value_rowids())
        for name, of in {"system": "atomic_numbers", "mm_system": "mm_charges"}.items():
            values[name] = tf.cast(parts[of].value_rowids(), tf.int32)
        values["mm_receivers"], values["mm_senders"] = _all_pairs(values["system"], n_mm, first_mm)
        labels = {name: tf.gather(column, indices).values for name, column in self._labels.items()}
        graph = MolecularGraph(**{name: tf.ensure_shape(values[name], spec.shape) for name, spec in self._signature._asdict().items()})
        return graph, labels

    def training(self, batch_size: int, seed: int, steps: int, first_step: int = 0) -> tf.data.Dataset:
        """Shuffled batches of the steps ``first_step`` to ``steps``; they depend on ``seed`` and the number of the step alone."""
        return tf.data.Dataset.from_tensor_slices(_shuffled(len(self), batch_size, seed, steps)[first_step:]).map(self.batch).prefetch(8)

    def evaluation(self, batch_size: int) -> tf.data.Dataset:
        """Every frame once, in order; fewer than ``batch_size`` at a time where MM particles are many."""
        batch_size = min(batch_size, max(1, MAXIMUM_PAIRS // max(1, self._largest_pairs)))
        return tf.data.Dataset.range(len(self)).batch(batch_size).map(self.batch).prefetch(2)


def _all_pairs(system, n_mm, first_mm) -> tuple[tf.Tensor, tf.Tensor]:
    """Every pair of an atom and an MM particle of its system, atom by atom: [n_pairs] numbers of the atoms and of the particles.

    Args:
        system: [n_atoms], of each atom.
        n_mm, first_mm: [n_systems], how many MM particles a system has, and the number of its first.
    """
    of_atom = tf.gather(n_mm, system)
    shift = tf.gather(first_mm, system) - tf.cumsum(of_atom, exclusive=True)
    return tf.repeat(tf.range(tf.size(system)), of_atom), tf.range(tf.reduce_sum(of_atom)) + tf.repeat(shift, of_atom)


def _graphs_of_one_shape(potential: Potential, systems: Sequence[System]) -> Iterator[MolecularGraph]:
    """Graphs with as many edges and MM particles as the largest of the systems; see :class:`GraphBatches`."""
    potential.check_systems(systems)
    n_mm = max(len(system.mm_charges) for system in systems)
    n_neighbours = max(count_neighbours(system, potential.cutoff) for system in systems)
    for system in systems:
        yield filled_graph(system, potential.cutoff, n_neighbours, n_mm, potential.compute_dtype, potential.far_from)


def _ragged(arrays: Sequence[np.ndarray]) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_lengths(np.concatenate(arrays), [len(array) for array in arrays], validate=False)


def _shuffled(n_frames: int, batch_size: int, seed: int, steps: int) -> np.ndarray:
    """[steps, batch_size] frame numbers: one permutation of all frames after the other, cut into batches."""
    generator = np.random.default_rng(seed)
    n_epochs = -(-steps * batch_size // n_frames)
    stream = np.concatenate([generator.permutation(n_frames) for _ in range(n_epochs)])
    return stream[: steps * batch_size].reshape(steps, batch_size)
