"""What a potential refuses or warns of before it computes: systems that it cannot describe, or that are outside its training data."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydantic
from ase.data import chemical_symbols

from amp_tf.errors import InputError
from amp_tf.models.ranges import TrainingRanges
from amp_tf.models.settings import require
from amp_tf.systems import System, naming


class Checked:
    """Base of :class:`amp_tf.models.Potential` that looks at systems; what it asks of is there."""

    elements: tuple[str, ...]
    provenance: dict[str, Any]
    sees_total_charge: bool
    embeds_charges: bool

    training_ranges: TrainingRanges | None
    """Of distances and charges, where the provenance tells them."""

    def _set_ranges(self) -> None:
        """Read the ranges of the training data from the provenance.

        Raises:
            InputError: if they are damaged.
        """
        try:
            known = self.provenance.get("ranges")
            self.training_ranges = None if known is None else TrainingRanges.model_validate(known)
        except pydantic.ValidationError as error:
            raise InputError(f"provenance: the ranges of the training data are damaged ({error.errors()[0]['msg']}).") from error
        self._warned: set[str] = set()

    def check_systems(self, systems: Sequence[System]) -> None:
        """Check that the model can describe the systems.

        Raises:
            InputError: for an element that the model does not know, a total charge that it was not trained on (where its provenance tells),
                or MM particles where the model has no term for them.
        """
        trained = self.provenance.get("total_charges") if self.sees_total_charge else None
        for number, system in enumerate(systems):
            with naming(f"system {number}", len(systems) > 1):
                self._check_system(system, trained)

    def _check_system(self, system: System, trained_charges: Sequence[float] | None) -> None:
        require(
            trained_charges is None or bool(np.any(np.isclose(system.total_charge, trained_charges, atol=1e-6))),
            f"the model was trained on total charges of {', '.join(map(_signed, trained_charges or ()))} e, not "
            f"{_signed(system.total_charge)} e; train one with such data.",
        )
        unknown = sorted({chemical_symbols[number] for number in system.atomic_numbers} - set(self.elements))
        require(not unknown, f"the model knows {', '.join(self.elements)}, not {', '.join(unknown)}; train one with these elements.")
        if len(system.mm_charges) and not self.embeds_charges:
            raise InputError(
                "this model has no term for MM particles; leave them out, or train one "
                "with direct_polarization, pairwise_coulomb or mm_types."
            )

    def check_charges(self, systems: Sequence[System]) -> None:
        """Refuse total charges that the model would ignore.

        Raises:
            InputError: for a model that does not see the total charge, unless it is 0 or one of its training data.
        """
        trained = self.provenance.get("total_charges", [0.0])
        known = [0.0, *trained]
        for number, system in enumerate(systems):
            with naming(f"system {number}", len(systems) > 1):
                require(
                    self.sees_total_charge or bool(np.any(np.isclose(system.total_charge, known))),
                    "this model does not see the total charge; leave it at 0, or use pairwise_coulomb=True (-P).",
                )

    def warn_of_ranges(self, systems: Sequence[System]) -> None:
        """Warn, once of geometries and once of charges, of the first system outside the training data, where the provenance tells these."""
        ranges = self.training_ranges
        if ranges is None:
            return
        kinds = {"geometries": ranges.geometry_complaint, "charges": lambda system: ranges.charge_complaint(system.mm_charges)}
        for kind, complain in kinds.items():
            if kind in self._warned:
                continue
            complaints = ((number, complain(system)) for number, system in enumerate(systems))
            number, complaint = next(((number, complaint) for number, complaint in complaints if complaint), (0, None))
            if complaint:
                self._warned.add(kind)
                where = f"system {number}: " if len(systems) > 1 else ""
                warnings.warn(f"{where}{complaint}. Its energy is an extrapolation (this warning comes once).", stacklevel=3)


def _signed(charge: float) -> str:
    return f"{charge:+g}" if charge else "0"
