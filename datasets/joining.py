"""Reference data of several files as one, their energies relative to one zero: frames that dynamics collected beside those before."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance, ReferenceData
from amp_tf.errors import InputError
from amp_tf.files import check_outputs


def join(sources: Sequence[ReferenceData], output: Path, command: str) -> str:
    """Write all groups of the sources; energies of a molecule relative to where they are zero in the first source that has it.

    Args:
        sources: files that ``sample``, ``relabel`` or this wrote, which record where their energies are zero.
        output: the file to write.
        command: that made it.

    Returns:
        The sha256 of the file's content.

    Raises:
        InputError: for sources of several levels of theory, or one that does not record its zero.
    """
    check_outputs([output], {f"the source {source.source}": source.source for source in sources})
    first = sources[0].provenance
    for source in sources:
        method = source.provenance.engine, source.provenance.level_of_theory
        if method != (first.engine, first.level_of_theory):
            raise InputError(
                f"{source.source} has labels of {' '.join(method[::-1])}, {sources[0].source} of {first.level_of_theory} {first.engine}; "
                "relabel one of them."
            )
    zeros: dict[tuple[float, ...], float] = {}
    groups: list[FrameGroup] = []
    references: dict[str, float] = {}
    for source in sources:
        for group in source.groups:
            reference = _reference(source, group)
            zero = zeros.setdefault((*np.sort(group.qm_atomic_numbers).tolist(), group.total_charge), reference)
            name, number = group.name, 2
            while name in references:
                name, number = f"{group.name} {number}", number + 1
            references[name] = zero
            groups.append(_moved(group, name, reference - zero))
    provenance = Provenance(
        engine=first.engine,
        engine_version=", ".join(dict.fromkeys(source.provenance.engine_version for source in sources)),
        level_of_theory=first.level_of_theory,
        builder_command=command,
        random_seed=first.random_seed,
        energy_reference=first.energy_reference,
        settings={
            "reference_energies_kj_per_mol": references,
            "joined": [
                {"file": Path(source.source).name, "sha256": source.sha256, "settings": source.provenance.settings} for source in sources
            ],
        },
    )
    return write_reference_data(output, provenance, tuple(groups))


def _reference(source: ReferenceData, group: FrameGroup) -> float:
    """The absolute energy at which a group's energies are zero, kJ/mol."""
    settings = source.provenance.settings
    found = settings.get("reference_energies_kj_per_mol", {}).get(group.name, settings.get("reference_energy_kj_per_mol"))
    if found is None:
        raise InputError(f"{source.source} does not record where its energies are zero; relabel it with datasets.qmmm_solutes.")
    return float(found)


def _moved(group: FrameGroup, name: str, change: float) -> FrameGroup:
    properties = {
        key: values + change if key == "isolated_energy" else values for key, values in group.frame_properties.items()
    }  # fmt: skip
    return replace(group, name=name, energies=group.energies + change, frame_properties=properties)
