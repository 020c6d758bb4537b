"""PhysNet: energies and charges of atoms, with the tails of Coulomb's law (Unke and Meuwly, J. Chem. Theory Comput. 15, 3678, 2019)."""

import itertools
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from amp_tf import units
from amp_tf.graph import MolecularGraph
from amp_tf.layers.dense import REGISTERED
from amp_tf.layers.dispersion import D3Dispersion
from amp_tf.layers.edges import pair_vectors
from amp_tf.layers.physnet import ExponentialRadialBasis, PhysNetModule
from amp_tf.models.potential import Potential
from amp_tf.models.settings import check_sizes, require, require_whole
from amp_tf.ops import safe
from amp_tf.ops.electrostatics import conserve_charge, damped_inverse

MOST_BLOCKS = 100
"""Residual blocks in a row."""

SMALL = 1e-7
"""Keeps the ratio of outputs that are both zero finite, as in the authors' program."""


@REGISTERED
class PhysNet(Potential):
    r"""Atomic energies, and with ``charges`` partial charges that interact by Coulomb's law at all distances (Eqs. 3 to 14).

    .. math:: E = \sum_i E_i + k_e \sum_{i<j} \tilde q_i \tilde q_j \chi(r_{ij}), \qquad
        \tilde q_i = q_i - \frac{1}{N} \left( \sum_j q_j - Q \right)

    with χ of :func:`amp_tf.ops.electrostatics.damped_inverse`. The total charge Q enters through the correction of the charges alone.

    Args:
        elements, atomic_energies, provenance, dtype: as in :class:`amp_tf.AMP`.
        cutoff: of messages and of the damping, angstrom (published: 10).
        n_layers: modules M (published: 5).
        n_features: size F of the features (published: 128).
        n_radial: size K of the radial basis (published: 64).
        n_interaction, n_atomic, n_output: residual blocks of a module (published: 3, 2, 1).
        charges: predict charges too; the data then need dipoles or charged systems, without which charges stay zero.
        dispersion: D3(BJ) among all atoms: None for none, ``"learned"``, or s6, s8, a1 and a2 (bohr) of a functional.

    Raises:
        InputError: for sizes that are no positive whole numbers.

    The numbers that the network gives are in eV, as in the authors' program, so that an optimizer's steps mean the same.
    """

    def __init__(
        self, elements, cutoff: float = 10.0, n_layers: int = 5, n_features: int = 128, n_radial: int = 64, n_interaction: int = 3,
        n_atomic: int = 2, n_output: int = 1, charges: bool = False, dispersion: str | Sequence[float] | None = None,
        **kwargs,
    ):  # fmt: skip
        check_sizes(n_layers=n_layers, n_features=n_features, n_radial=n_radial)
        require_whole(0, MOST_BLOCKS, n_interaction=n_interaction, n_atomic=n_atomic, n_output=n_output)
        super().__init__(elements, cutoff, n_radial=n_radial, **kwargs)
        require(self.message_cutoff == "smooth", "PhysNet's radial basis ends smoothly; leave message_cutoff out.")
        self.n_layers, self.n_features, self.charges = int(n_layers), int(n_features), bool(charges)
        self.n_interaction, self.n_atomic, self.n_output = int(n_interaction), int(n_atomic), int(n_output)
        n_elements, n_outputs = len(self.elements), 2 if self.charges else 1
        self.dispersion, self.sees_total_charge = _checked_dispersion(dispersion), self.charges
        self.far_from = 0.0 if self.charges or self.dispersion is not None else None
        limit = 3.0**0.5
        start = keras.initializers.RandomUniform(-limit, limit)
        self.embedding = keras.layers.Dense(
            self.n_features, use_bias=False, kernel_initializer=start, dtype=self.dtype_policy, name="embedding"
        )
        self.embedding.build((None, n_elements))
        self.radial_basis = ExponentialRadialBasis(self.n_radial, self.cutoff, dtype=self.dtype_policy, name="radial_basis")
        self.pass_through = [
            PhysNetModule(
                self.n_features, self.n_radial, n_outputs, self.n_interaction, self.n_atomic, self.n_output, dtype=self.dtype_policy,
                name=f"module_{number}",
            )
            for number in range(self.n_layers)
        ]  # fmt: skip
        self.d3 = None
        if self.dispersion is not None:
            parameters = None if self.dispersion == "learned" else self.dispersion
            self.d3 = D3Dispersion(self.elements, parameters, dtype=self.dtype_policy, name="d3")
        self.scale = self.add_weight(shape=(n_elements, n_outputs), initializer="ones", name="scale")
        self.shift = self.add_weight(shape=(n_elements, n_outputs), initializer="zeros", name="shift")
        self.built = True

    def energy_terms(self, graph: MolecularGraph):
        """``atomic``, with charges ``coulomb_qm_qm`` and with D3 ``dispersion``; of atoms ``nonhierarchicality`` and, with charges,
        ``charges`` and ``raw_charges``, e."""
        one_hot, n_systems = self.one_hot(graph), ops.shape(graph.total_charge)[0]
        outputs = self.module_outputs(one_hot, graph)
        summed = ops.matmul(one_hot, self.scale) * ops.sum(ops.stack(outputs), axis=0) + ops.matmul(one_hot, self.shift)
        terms = {"atomic": units.EV * safe.segment_sum(summed[:, 0], graph.system, n_systems)}
        properties: dict[str, Any] = {"nonhierarchicality": nonhierarchicality(outputs)}
        if self.far_from is not None:
            vectors = pair_vectors(graph.positions, graph.positions, graph.far_receivers, graph.far_senders)
            distances = safe.length_and_direction(vectors)[0]
        if self.charges:
            raw = summed[:, 1]
            charges = conserve_charge(raw, graph.system, graph.total_charge)
            partners = safe.gather(charges, graph.far_senders) * damped_inverse(distances, self.cutoff)
            at_atoms = units.COULOMB_CONSTANT * safe.segment_sum(partners, graph.far_receivers, ops.shape(charges)[0])
            terms["coulomb_qm_qm"] = safe.segment_sum(0.5 * charges * at_atoms, graph.system, n_systems)
            properties |= {"charges": charges, "raw_charges": raw}
        if self.d3 is not None:
            of_atoms = self.d3(one_hot, distances, graph.far_receivers, graph.far_senders)
            terms["dispersion"] = safe.segment_sum(of_atoms, graph.system, n_systems)
        return terms, properties

    @property
    def further_label_names(self) -> tuple[str, ...]:
        """Non-hierarchicality, and with charges their sum and the dipole moment."""
        return (*(("total_charge", "dipole") if self.charges else ()), *(("nonhierarchicality",) if self.n_layers > 1 else ()))

    def further_labels(self, graph: MolecularGraph, result, labels):
        """Sum and dipole moment of the raw charges, which the corrected ones would hide (Eq. 17)."""
        if not self.charges:
            return {}
        raw, n_systems = result["raw_charges"], ops.shape(graph.total_charge)[0]
        return {
            "total_charge": safe.segment_sum(raw, graph.system, n_systems),
            "dipole": safe.segment_sum(raw[:, None] * graph.positions, graph.system, n_systems),
        }

    def scale_outputs(self, per_atom: float) -> None:
        """The scale of energies is the deviation at the start, as in the authors' program, and that of charges 1."""
        scale = np.array(self.scale)
        scale[:, 0] = per_atom / units.EV
        self.scale.assign(scale)

    def start_charges(self, charges: Mapping[str, float]) -> None:
        """Start with these charges of the elements, e, where the model has charges; the authors' program starts with zero."""
        if self.charges:
            shift = np.array(self.shift)
            shift[:, 1] = [charges[symbol] for symbol in self.elements]
            self.shift.assign(shift)

    def start_at_zero(self) -> None:
        """Nothing to do: the last kernels of the outputs are zero at the start, and charges are shifted by :meth:`start_charges` alone."""

    def module_outputs(self, one_hot, graph: MolecularGraph) -> list[Any]:
        """y of each module [n_atoms, n_outputs], before scale and shift."""
        distances = safe.length_and_direction(pair_vectors(graph.positions, graph.positions, graph.receivers, graph.senders))[0]
        radial_basis, features, outputs = self.radial_basis(distances), self.embedding(one_hot), []
        for module in self.pass_through:
            features, output = module(features, radial_basis, graph.receivers, graph.senders)
            outputs.append(output)
        return outputs

    def get_config(self) -> dict[str, Any]:
        names = ("n_layers", "n_features", "n_interaction", "n_atomic", "n_output", "charges", "dispersion")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _checked_dispersion(dispersion: str | Sequence[float] | None) -> str | tuple[float, ...] | None:
    if dispersion is None or dispersion == "learned":
        return dispersion
    is_right = isinstance(dispersion, list | tuple) and len(dispersion) == 4
    numbers = [value for value in dispersion if isinstance(value, Real) and not isinstance(value, bool)] if is_right else []
    require(
        len(numbers) == 4 and all(0.0 <= value < np.inf for value in numbers) and (numbers[2] > 0.0 or numbers[3] > 0.0),
        f"dispersion must be None, 'learned', or s6, s8, a1 and a2 of D3(BJ), got {dispersion!r}.",
    )
    return tuple(float(value) for value in numbers)


def nonhierarchicality(outputs: list[Any]):
    r"""The mean over outputs of :math:`\sum_{m \ge 2} y_m^2 / (y_m^2 + y_{m-1}^2)` of each atom (Eqs. 18 and 19), [n_atoms]: how far
    later modules fail to contribute less than earlier ones.

    Args:
        outputs: y of each module [n_atoms, n_outputs].
    """
    squares = [ops.square(output) for output in outputs]
    ratios = [later / (later + earlier + SMALL) for earlier, later in itertools.pairwise(squares)]
    return ops.mean(sum(ratios, ops.zeros_like(squares[0])), axis=-1)
