"""A trained potential that training starts from: reading it, and checking that configuration and data go with it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amp_tf.data.reference_data import ReferenceData
from amp_tf.errors import InputError
from amp_tf.models import Ensemble, Potential, load_potential
from amp_tf.shipped import potential_file
from amp_tf.systems import naming
from amp_tf.training.config import TrainingConfig


@dataclass(frozen=True)
class Start:
    """A trained potential and the file that holds it.

    Attributes:
        potential: its weights and settings are those that training starts with.
        file: name of the file, without folder.
        sha256: of the file.
    """

    potential: Potential
    file: str
    sha256: str

    def chain(self) -> list[dict[str, Any]]:
        """A record of this potential, then of the one that its own training started from, and so on; flat, for the provenance."""
        origin = self.potential.provenance
        known = {key: origin[key] for key in ("data", "data_sha256", "level_of_theory", "license", "citation", "md5") if key in origin}
        return [{"file": self.file, "sha256": self.sha256, **known}, *origin.get("started_from", [])]


def read_start(config: TrainingConfig, folder: Path) -> Start | None:
    """The potential that ``start_from`` names, None without that key.

    Raises:
        DataFileError: if the file is missing, damaged or no potential.
        InputError: if the configuration's ``model`` is another, or the run in ``folder`` would overwrite the file.
    """
    if config.start_from is None:
        return None
    with naming("start_from"):
        path = potential_file(config.start_from)
    if path.resolve() == (folder / "potential.keras").resolve():
        raise InputError(f"start_from: the run would overwrite {path}; choose another run folder.")
    with naming("start_from"):
        potential = load_potential(path)
    if isinstance(potential, Ensemble):
        raise InputError(f"start_from: {path} is an ensemble; start from its members one by one, and join them anew.")
    if potential.target != config.target:
        raise InputError(f"start_from: {path} predicts {potential.target}, not {config.target}; set target to {potential.target}.")
    if differing := _differing(config.as_json()["model"], potential):
        raise InputError(f"model: not that of start_from, {path}, in {', '.join(differing)}; leave these keys out, or start from another.")
    return Start(potential, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def check_data(start: Start, data: ReferenceData) -> None:
    """Check that the start potential can describe the data.

    Raises:
        InputError: for an element that it does not know, a total charge that it was not trained on (where its provenance tells), or MM
            particles that it has no term for.
    """
    trained = start.potential.provenance.get("total_charges")
    for group in data.groups:
        with naming(f"start_from: {start.file} does not fit group {group.name!r} of {data.source}"):
            if trained is not None and not np.any(np.isclose(group.total_charge, trained, atol=1e-6)):
                charges = ", ".join(f"{charge:g}" for charge in trained)
                raise InputError(f"the model was trained on total charges of {charges} e, not {group.total_charge:g} e; train a new one.")
            start.potential.check_systems([group.system(0)])


def _differing(model: dict[str, Any], potential: Potential) -> list[str]:
    """The settings in ``model`` that are not those of the potential, in words; the order of the elements does not matter."""
    own = potential.get_config() | {"type": type(potential).__name__}
    if isinstance(model.get("elements"), list) and sorted(map(str, model["elements"])) == sorted(potential.elements):
        model = model | {"elements": own["elements"]}
    own = {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()}  # as JSON has it
    return [f"{key} ({value!r}, not {own.get(key)!r})" for key, value in model.items() if value != own.get(key)]
