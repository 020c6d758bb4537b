"""Several potentials as one: the mean of what they give, and how far they are apart."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from amp_tf.graph import MolecularGraph
from amp_tf.layers.dense import REGISTERED
from amp_tf.models.potential import Potential
from amp_tf.models.ranges import training_molecule
from amp_tf.models.settings import require
from amp_tf.ops import safe
from amp_tf.systems import System
from amp_tf.targets import DIPOLE_MOMENT

SAME = (
    "elements", "cutoff", "message_cutoff", "target", "target_unit", "compute_dtype", "far_from", "near_cutoff", "mm_nodes", "mm_types",
    "embeds_charges", "sees_total_charge", "max_order", "repulsion", "dispersion", "pairwise_coulomb", "further_label_names",
)  # fmt: skip
"""What the members must agree in, where they have it, so that they read one graph and give terms of the same names."""

SPREAD = ("energy_std", "qm_gradients_std", "charges_std")
"""Results of an ensemble beside the means: standard deviations over its members, of each component."""


@REGISTERED
class Ensemble(Potential):
    """The mean of energies, gradients and charges of potentials, such as those of five seeds, saved as one file.

    :meth:`compute` gives ``energy_std``, ``qm_gradients_std`` and ``charges_std`` too, standard deviations over the members (of a
    population: divided by their number), which tell where the members have seen too little.

    Args:
        members: two potentials or more, of one kind of graph: equal in elements, cut-offs, target and precision.
        provenance: by default what those of the members have in common, and each member's data and seed.
        name: of the Keras model.

    Raises:
        InputError: for fewer than two, and for members that differ; names in what.
    """

    def __init__(self, members: Sequence[Potential], provenance: Mapping[str, Any] | None = None, name: str | None = None):
        members = list(members)
        require(
            len(members) > 1 and all(isinstance(member, Potential) and not isinstance(member, Ensemble) for member in members),
            "an ensemble has two potentials or more, none of which is an ensemble.",
        )
        require(
            all(type(member).compute_systems is Potential.compute_systems for member in members),
            f"an ensemble of {type(members[0]).__name__} would lose its atomic dipoles; use its members one by one.",
        )
        require(len(set(map(id, members))) == len(members), "an ensemble has one potential twice; give different ones.")
        first = members[0]
        for member in members[1:]:
            differing = [name for name in SAME if getattr(member, name, None) != getattr(first, name, None)]
            require(not differing, f"the members of an ensemble differ in {', '.join(differing)}; take such as were trained alike.")
        energies = {symbol: float(np.mean([member.atomic_energies[symbol] for member in members])) for symbol in first.elements}
        settings = {
            "elements": first.elements, "cutoff": first.cutoff, "message_cutoff": first.message_cutoff, "n_radial": first.n_radial,
            "atomic_energies": energies, "dtype": first.compute_dtype, "target": first.target, "target_unit": first.target_unit,
            "constant": float(np.mean([member.constant for member in members])),
        }  # fmt: skip
        self._of_targets = first.predicts_targets
        super().__init__(**settings, provenance=provenance or _provenance(members), name=name)
        self.members = members
        for attribute in ("far_from", "near_cutoff", "mm_nodes", "embeds_charges", "sees_total_charge", "sums_in_chunks"):
            setattr(self, attribute, getattr(first, attribute))
        if hasattr(first, "mm_types"):
            self.mm_types = first.mm_types
        shifts = [[member.atomic_energies[symbol] - energies[symbol] for symbol in first.elements] for member in members]
        self._shifts = np.array(shifts)  # of the members' references from the mean, small
        self._constants = np.array([member.constant for member in members]) - self.constant
        self.built = True

    @property
    def predicts_targets(self) -> bool:
        """As its members."""
        return self._of_targets

    @property
    def _without_mean(self) -> tuple[str, ...]:
        """Properties that members learn with either sign: multipoles, and of dipole moments, which are absolute values, charges."""
        return ("multipoles", "charges", "dipole") if self.target == DIPOLE_MOMENT else ("multipoles",)

    @property
    def expands(self) -> bool:
        """Of all members, which read it when they are traced."""
        return self.members[0].expands

    @expands.setter
    def expands(self, value: bool) -> None:
        for member in self.members:
            member.expands = value

    @property
    def pairs_at_once(self) -> int | None:
        """Of all members."""
        return self.members[0].pairs_at_once

    @pairs_at_once.setter
    def pairs_at_once(self, value: int | None) -> None:
        for member in self.members:
            member.pairs_at_once = value

    @property
    def further_label_names(self) -> tuple[str, ...]:
        """As its members, of which errors of dipoles are told; an ensemble is not trained."""
        return self.members[0].further_label_names

    def energy_terms(self, graph: MolecularGraph):
        """The means of the members' terms and of the properties that all of them give."""
        found = [member.energy_terms(graph) for member in self.members]
        terms = {name: sum(terms[name] for terms, _ in found) / len(found) for name in found[0][0]}
        names = [name for name in found[0][1] if all(name in properties for _, properties in found) and name not in self._without_mean]
        return terms, {name: _mean([properties[name] for _, properties in found]) for name in names}

    def with_gradients(
        self, graph: MolecularGraph, training: bool = False, *, names: Sequence[str] = ("qm_gradients", "mm_gradients")
    ) -> dict[str, Any]:
        """As :meth:`Potential.with_gradients`, with the standard deviations of :data:`SPREAD`."""
        found = [member.with_gradients(graph, training, names=names) for member in self.members]
        keys = [key for key in found[0] if all(key in result for result in found) and key not in self._without_mean]
        mean = {key: _mean([result[key] for result in found]) for key in keys}
        of_elements = ops.matmul(self.one_hot(graph), ops.transpose(ops.convert_to_tensor(self._shifts, dtype=self.compute_dtype)))
        shifts = safe.segment_sum(of_elements, graph.system, ops.shape(graph.total_charge)[0])
        shifts += ops.convert_to_tensor(self._constants, dtype=self.compute_dtype)
        energies = ops.stack([result["energy"] for result in found], axis=1) + shifts
        spread = {"energy_std": ops.std(energies, axis=1)}
        for key in ("qm_gradients", "charges"):
            if key in mean:
                spread[f"{key}_std"] = ops.std(ops.stack([result[key] for result in found]), axis=0)
        return mean | spread

    def check_systems(self, systems: Sequence[System]) -> None:
        """What every member can describe."""
        for member in self.members:
            member.check_systems(systems)

    def check_charges(self, systems: Sequence[System]) -> None:
        """As every member."""
        for member in self.members:
            member.check_charges(systems)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        members = [{"class_name": type(member).__name__, "config": member.get_config()} for member in self.members]
        return {name: config[name] for name in ("name", "dtype", "units", "provenance")} | {"members": members}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Ensemble":
        """With members of fresh weights.

        Raises:
            InputError: if a member is of no class that is known here.
        """
        from amp_tf.models.loading import MODELS

        config = dict(config)
        members = []
        for number, member in enumerate(config.pop("members")):
            known = MODELS.get(member["class_name"])
            require(known is not None and known is not cls, f"member {number} is a {member['class_name']}, which is no potential here.")
            members.append(known.from_config(member["config"] | {"dtype": config["dtype"]}))
        config.pop("units", None), config.pop("dtype")
        return cls(members, **config)


def _mean(values: list[Any]) -> Any:
    """Of tensors, or of tuples or dictionaries of tensors."""
    return keras.tree.map_structure(lambda *parts: sum(parts) / len(parts), *values)


def _provenance(members: Sequence[Potential]) -> dict[str, Any]:
    """What all members' records have alike, the ranges that any of them has seen, and what tells them apart."""
    records = [member.provenance for member in members]
    own = ("errors", "training_seconds", "ranges", "total_charges", "training", "molecule")
    alike = {key: value for key, value in records[0].items() if key not in own and all(record.get(key) == value for record in records)}
    ranges = [member.training_ranges for member in members]
    if all(found is not None for found in ranges):
        alike["ranges"] = functools.reduce(lambda first, second: first.merged(second), ranges).model_dump()
    if all("total_charges" in record for record in records):
        alike["total_charges"] = sorted({charge for record in records for charge in record["total_charges"]})
    molecules = [training_molecule(record) for record in records]
    if molecule := functools.reduce(lambda first, second: first and first.merged(second), molecules):
        alike["molecule"] = molecule.model_dump(mode="json")
    told = [{key: record[key] for key in ("data", "data_sha256") if key in record} | _seed(record) for record in records]
    return alike | {"members": told}


def _seed(record: Mapping[str, Any]) -> dict[str, Any]:
    training = record.get("training")
    return {"seed": training["seed"]} if isinstance(training, Mapping) and "seed" in training else {}


def members_of(potential: Potential) -> list[Potential]:
    """Those of an ensemble, or the potential itself."""
    return list(potential.members) if isinstance(potential, Ensemble) else [potential]
