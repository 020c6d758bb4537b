"""The published weights of AMP-BMS (doi 10.1021/jacs.6c00217) as a potential of ours."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers as NUMBER_OF_SYMBOL

from amp_tf.errors import DataFileError
from amp_tf.layers import PairPerceptron, Perceptron
from amp_tf.models.amp_bms import AMPBMS, MAX_ORDER
from amp_tf.state_dict import read_state_dict

PUBLISHED_MD5 = "2089e29a75d10ba3031ea8f0c920770e"
"""Of the file MIN_state_dict of the repository rinikerlab/amp_bms."""

CITATION = "Thürlemann, Pultar, Gordiy, Ruijsenaars, Riniker, J. Am. Chem. Soc. 148, 28133 (2026), doi 10.1021/jacs.6c00217"
N_NUMBERS = 54
"""Rows of the authors' tables, by atomic number."""

UNUSED = {"mu.MASSES": (117,), "theta.MASSES": (117,)}
"""Names and shapes of what the file holds and the potential does not need: masses, for moments about the center of mass."""

Arrange = Callable[[np.ndarray], np.ndarray]
Part = tuple[str, Any, tuple[int, ...], Arrange]
"""Name in the file, our variable, shape in the file, and how the array of the file becomes that of the variable."""


def import_weights(path: Path | str, **settings) -> AMPBMS:
    """The potential with the weights of a PyTorch state dict, which is read without PyTorch (:mod:`amp_tf.state_dict`).

    Args:
        path: the published ``MIN_state_dict``, or another file of the same names and shapes.
        settings: ``mode``, ``mm_cutoff``, ``polarization_factor``, ``dtype``, as in :class:`amp_tf.AMPBMS`.

    Raises:
        DataFileError: if the file cannot be read, or other names, shapes or numbers are in it than AMP-BMS has.
        InputError: for settings that cannot be met.
    """
    path = Path(path)
    arrays = read_state_dict(path)
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    is_published = md5 == PUBLISHED_MD5
    provenance = {
        "weights": "MIN_state_dict of github.com/rinikerlab/amp_bms" if is_published else "another file than the published MIN_state_dict",
        "license": "MIT" if is_published else "unknown",
        "citation": CITATION,
        "source_file": path.name,
        "md5": md5,
        "level_of_theory": "that of doi 10.1021/jacs.6c00217" if is_published else "unknown",
        "energy_reference": "none: energies of one composition compare",
    }
    potential = AMPBMS(provenance=provenance, **settings)
    parts = list(_parts(potential))
    _check(path, arrays, {name: shape for name, _, shape, _ in parts} | UNUSED)
    for name, variable, _, arranged in parts:
        variable.assign(arranged(arrays[name]))
    return potential


def _check(path: Path, arrays: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> None:
    remedy = "give the published MIN_state_dict of AMP-BMS."
    if missing := sorted(set(shapes) - set(arrays)):
        raise DataFileError(f"{path}: {_counted(missing)} missing; {remedy}")
    if strange := sorted(set(arrays) - set(shapes)):
        raise DataFileError(f"{path}: {_counted(strange)} no part of AMP-BMS; {remedy}")
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise DataFileError(f"{path}: {name!r} has shape {list(arrays[name].shape)}, not {list(shape)}; {remedy}")
        if not np.all(np.isfinite(arrays[name])):
            raise DataFileError(f"{path}: {name!r} holds NaN or infinite values; {remedy}")


def _counted(names: list[str]) -> str:
    return f"{names[0]!r} is" if len(names) == 1 else f"{names[0]!r} and {len(names) - 1} more are"


def _parts(potential: AMPBMS) -> Iterator[Part]:
    """All variables of the potential with their names in the file.

    The authors' kernels are [output, input]. The inputs of their pairs are [sender, receiver, pair], ours [receiver, sender, pair]; their
    coefficients stand order by order, ours channel by channel.
    """
    size, n_radial = potential.n_features, potential.n_radial
    numbers = [NUMBER_OF_SYMBOL[symbol] for symbol in potential.elements]

    def from_senders_first(kernel: np.ndarray) -> np.ndarray:
        return np.concatenate([kernel[size : 2 * size], kernel[:size], kernel[2 * size :]])

    def from_pair_first(kernel: np.ndarray) -> np.ndarray:
        return from_senders_first(np.roll(kernel, -n_radial, axis=0))

    def by_channels(kernel: np.ndarray) -> np.ndarray:
        return kernel.reshape(len(kernel), MAX_ORDER, -1).swapaxes(1, 2).reshape(kernel.shape)

    yield "node_embedding.embedding.weight", potential.embedding.kernel, (N_NUMBERS, size), lambda table: table[numbers]
    yield from _pair_perceptron("edge_embedding", potential.edge_embedding, from_pair_first)
    for number, (expansion, messages) in enumerate(zip(potential.expansions, potential.message_layers, strict=True)):
        yield from _pair_perceptron(f"eq_message_layers.{number}", expansion.coefficients, from_senders_first, by_channels)
        yield from _pair_perceptron(f"in_message_layers.{number}", messages.message, from_senders_first)
        yield from _perceptron(f"in_update_layers.{number}", messages.update)
    yield from _perceptron("B_coefficients", potential.polarization.coefficients)
    yield from _perceptron("QM_coeffs", potential.response_readout)
    yield from _perceptron("QM_monos", potential.charge_readout)
    yield from _perceptron("V.potential", potential.readout)
    for name, basis in {"radial_embedding": potential.radial_basis, "radial_embedding_qmmm": potential.mm_radial_basis}.items():
        yield f"{name}.frequencies", basis.frequencies, (1, basis.n_functions), np.ravel
    for name, table in {"C6_0": potential.c6, "sqrt_r4r2": potential.dispersion_radii}.items():
        yield f"D4.{name}", table, (N_NUMBERS, 1), lambda values: values[numbers, 0]


def _pair_perceptron(prefix: str, network: PairPerceptron, inputs: Arrange, outputs: Arrange = np.asarray) -> Iterator[Part]:
    yield from _dense(f"{prefix}.0", network.pair, inputs)
    yield from _perceptron(prefix, network.rest, 2, outputs)


def _perceptron(prefix: str, network: Perceptron, first: int = 0, outputs: Arrange = np.asarray) -> Iterator[Part]:
    """The file numbers the activations between the dense layers too."""
    for number, layer in enumerate(network.dense):
        yield from _dense(f"{prefix}.{first + 2 * number}", layer, outputs if number == len(network.dense) - 1 else np.asarray)


def _dense(prefix: str, layer: Any, arranged: Arrange) -> Iterator[Part]:
    yield f"{prefix}.weight", layer.kernel, tuple(layer.kernel.shape[::-1]), lambda kernel: arranged(kernel.T)
    if layer.bias is not None:
        yield f"{prefix}.bias", layer.bias, tuple(layer.bias.shape), np.asarray
