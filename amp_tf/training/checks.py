"""What is refused before the first step of a training run, because only its evaluation would find it, or nothing would."""

import warnings

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from amp_tf.data.pipeline import GraphBatches
from amp_tf.data.reference_data import ReferenceData
from amp_tf.errors import DataFileError, InputError
from amp_tf.models import Potential
from amp_tf.systems import naming
from amp_tf.targets import ENERGY
from amp_tf.training.config import TrainingConfig
from amp_tf.training.start import Start


def check_near_cutoff(config: TrainingConfig, data: ReferenceData, start: Start | None) -> None:
    """A near cut-off is for MM particles.

    Raises:
        InputError: for data without them.
    """
    if any(group.mm_offsets is not None for group in data.groups):
        return
    if start is not None and start.potential.get_config().get("near_cutoff") is not None:
        raise InputError(f"start_from: {start.file} has a near_cutoff, but {data.source} no MM particles; start from another potential.")
    if config.model.get("near_cutoff") is not None:
        raise InputError(f"model.near_cutoff: {data.source} has no MM particles; leave it out, with direct_polarization: false.")


def warn_of_shapes(config: TrainingConfig, batches: GraphBatches) -> None:
    """Warn where XLA would compile a step for each of many shapes."""
    if config.xla and batches.n_shapes > 1 and not batches.one_shape:
        warnings.warn(
            f"xla: the training frames have {batches.n_shapes} shapes, and XLA compiles each that a batch comes in, for seconds; leave xla "
            "out.",
            stacklevel=4,
        )


def check_training_set_is_complete(data: ReferenceData, trained: set[str]) -> None:
    """Refuse elements and total charges that no training frame has: what the potential says of them would mean nothing.

    Args:
        data: all frames.
        trained: the names of the groups of the training frames.

    Raises:
        InputError: naming what is lacking, and the group.
    """
    groups = [group for group in data.groups if group.name in trained]
    elements = {int(number) for group in groups for number in group.qm_atomic_numbers}
    charges = {group.total_charge for group in groups}
    for group in data.groups:
        lacking = [f"total charge {group.total_charge:+g} e"] if group.total_charge not in charges else []
        lacking += [chemical_symbols[number] for number in sorted(set(group.qm_atomic_numbers.tolist()) - elements)]
        if lacking:
            raise InputError(
                f"{data.source}: no training frame has {', '.join(lacking)} of group {group.name!r}; choose a split in which some train, "
                "or leave that group out."
            )


def check_all_fits(potential: Potential, data: ReferenceData) -> None:
    """Refuse what evaluation would: of each group the frame with the most MM particles is looked at.

    Raises:
        InputError: as :meth:`amp_tf.models.Potential.check_systems`, naming the group.
    """
    for group in data.groups:
        largest = 0 if group.mm_offsets is None else int(np.argmax(np.diff(group.mm_offsets)))
        with naming(f"{data.source}, group {group.name!r}"):
            potential.check_systems([group.system(largest)])


def check_labels(potential: Potential, config: TrainingConfig, data: ReferenceData) -> None:
    """Refuse dipoles of some groups alone where all would train, and tell of MM gradients that do not train.

    Raises:
        DataFileError: for such dipoles.
    """
    with_dipoles = [group.name for group in data.groups if group.dipoles is not None]
    if config.loss == "absolute" and "dipole" in potential.further_label_names and 0 < len(with_dipoles) < len(data.groups):
        raise DataFileError(f"{data.source}: some groups have dipoles and others lack them; split the file or add the missing labels.")
    of_mm = config.target == ENERGY and any(group.mm_gradients is not None for group in data.groups)
    if of_mm and config.gradient_weight and all(group.qm_gradients is None for group in data.groups):
        warnings.warn(f"{data.source}: its MM gradients do not train, as there are no QM gradients beside them.", stacklevel=4)


def check_charges_can_be_learnt(potential: Potential, data: ReferenceData, labels: tuple[str, ...]) -> None:
    """Charges of neutral data start at zero, where the Coulomb energy has no slope: without dipoles they would never wake.

    Raises:
        InputError: for such data.
    """
    if "total_charge" in potential.further_label_names and "dipole" not in labels and not any(group.total_charge for group in data.groups):
        raise InputError(
            "model.charges: the data are neutral and have no dipoles to learn charges from, so that these would stay zero; set charges to "
            "false, or loss to absolute with data that have dipoles."
        )


def check_total_charges_are_seen(potential: Potential, data: ReferenceData) -> None:
    """A model that does not see the total charge can learn data of ions, but not one molecule with two charges.

    Raises:
        InputError: naming the molecule.
    """
    of_composition: dict[tuple[int, ...], set[float]] = {}
    for group in data.groups:
        of_composition.setdefault(tuple(sorted(group.qm_atomic_numbers.tolist())), set()).add(float(group.total_charge))
    for numbers, charges in of_composition.items():
        if len(charges) > 1 and not potential.sees_total_charge:
            formula, found = Atoms(numbers=numbers).get_chemical_formula(), " and ".join(f"{charge:+g}" for charge in sorted(charges))
            raise InputError(
                f"{data.source}: has {formula} with total charges of {found} e, which a model without charges cannot tell apart; give the "
                "model charges (pairwise_coulomb: true, for PhysNet charges: true), or train on one of them."
            )
