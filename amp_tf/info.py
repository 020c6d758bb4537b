"""What a saved potential or a data file is, in lines of a name and a value: what ``amp-tf info`` prints."""

from pathlib import Path

import numpy as np
from ase.formula import Formula
from ase.symbols import Symbols

from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.models import load_potential
from amp_tf.models.ranges import training_molecule

MOST_GROUPS = 20
"""Groups of a data file that are described."""

Lines = list[tuple[str, object]]


def describe_potential(file: Path) -> Lines:
    """Class, parameters, arguments, units, errors of the training, ranges of its data, provenance, and the model card beside the file.

    Raises:
        DataFileError, InputError: as :func:`amp_tf.load_potential` does.
    """
    potential, card = load_potential(file), file.with_suffix(".md")
    config = potential.get_config()
    if "members" in config:
        config["members"] = ", ".join(member["class_name"] for member in config["members"])
    provenance, unit = config.pop("provenance"), config.pop("units")
    lines: Lines = [("potential", type(potential).__name__), ("parameters", f"{potential.count_params():,}".replace(",", " "))]
    lines += [(key, ", ".join(value) if key == "elements" else value) for key, value in config.items() if key != "name"]
    lines += [(f"unit of {quantity}", name) for quantity, name in unit.items()]
    for row in provenance.pop("errors", []):
        lines.append((f"{row['split']} {row['metric']}", f"{row['value']:.4g} {row['unit']} (null model {row['null_model']:.4g})"))
    if provenance.pop("ranges", None) is not None:
        lines += potential.training_ranges.lines()
    if molecule := training_molecule(provenance):
        among = "" if molecule.is_alone else ", always among charges"
        lines.append(("trained on the molecule", f"{Symbols(molecule.atomic_numbers).get_chemical_formula()}{among}"))
        del provenance["molecule"]
    lines += [(f"provenance: {key}", value) for key, value in provenance.items()]
    return lines + ([("model card", card)] if card.is_file() else [])


def describe_data(file: Path) -> Lines:
    """Frames, sha256, units, what each group holds, the range of every target, and provenance.

    Raises:
        DataFileError: as :func:`amp_tf.read_reference_data` does.
    """
    data = read_reference_data(file)
    lines: Lines = [("reference data", f"{len(data)} frames in {len(data.groups)} group(s)"), ("sha256", data.sha256)]
    lines += [("units", f"{units.LENGTH}, {units.ENERGY}, {units.GRADIENT}, {units.CHARGE}")]
    for group in data.groups[:MOST_GROUPS]:
        formula = Formula(Symbols(group.qm_atomic_numbers).get_chemical_formula())
        labels = ", ".join(name for name in group.arrays() if not name.startswith(("qm_atomic_numbers", "qm_positions", "targets/")))
        lines.append((f"group {group.name}", f"{len(group)} frames of {formula}, charge {group.total_charge:g} e; {labels}"))
        if group.energies is not None:
            lines.append(("  energies", _range(group.energies, units.ENERGY)))
    if len(data.groups) > MOST_GROUPS:
        lines.append(("further groups", len(data.groups) - MOST_GROUPS))
    for name in data.target_names:
        values = np.concatenate([group.targets[name] for group in data.groups])
        lines.append((f"target {name}", _range(values, data.unit_of(name))))
    return lines + [(f"provenance: {key}", value) for key, value in data.provenance.model_dump().items()]


def _range(values: np.ndarray, unit: str) -> str:
    return f"{values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g} {unit}"
