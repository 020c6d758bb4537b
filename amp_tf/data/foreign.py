"""Files of others, by their format, as files of ours: what ``amp-tf convert`` does."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from amp_tf.data import qm9, rmd17
from amp_tf.data.arrays import KEYS, read_amp_qmmm, read_hdf5
from amp_tf.data.convert import read_emle, read_xyz
from amp_tf.data.frames import RawFrame, as_reference_data, left_out
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.plausibility import check_plausible
from amp_tf.errors import InputError
from amp_tf.files import check_outputs


@dataclass(frozen=True)
class Source:
    """What is said of a file of others; a format takes some of it, :data:`FORMATS`.

    Attributes:
        path: a file or folder.
        key: our name to the name in the file.
        length_unit, energy_unit, gradient_unit: of the file.
        charge: total charge of every frame, e.
        prefix: of the authors' arrays, orca or xtb.
        pc: the file of point charges.
        allow_pickle: read arrays of objects, which may run code.
        uncharacterized: the published list of molecules that are left out.
    """

    path: Path
    key: Mapping[str, str] = field(default_factory=dict)
    length_unit: str | None = None
    energy_unit: str | None = None
    gradient_unit: str | None = None
    charge: float | None = None
    prefix: str | None = None
    pc: Path | None = None
    allow_pickle: bool = False
    uncharacterized: Path | None = None

    def given(self) -> dict[str, object]:
        """What is not left at its default, by name."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "path"}
        return {name: value for name, value in values.items() if value not in (None, {}, False)}

    def as_options(self) -> list[str]:
        """The options of the command line that say so, paths by their names alone."""
        options = []
        for name, value in self.given().items():
            option = _option(name)
            if isinstance(value, Mapping):
                options += [f"{option}={ours}={theirs}" for ours, theirs in value.items()]
            else:
                options.append(option if value is True else f"{option}={value.name if isinstance(value, Path) else value}")
        return options


@dataclass(frozen=True)
class Format:
    """How files of a format are read.

    Attributes:
        read: the frames of a source.
        takes: what of a :class:`Source` it reads, beside the path.
        level_of_theory: of the energies, where all files of the format have one.
        energy_reference: what the energies are counted from.
    """

    read: Callable[[Source], list[RawFrame]]
    takes: tuple[str, ...] = ()
    level_of_theory: str | None = None
    energy_reference: str = "as in the source"


def _amp_qmmm(source: Source) -> list[RawFrame]:
    return read_amp_qmmm(source.path, "orca" if source.prefix is None else source.prefix, source.charge or 0.0, source.allow_pickle)


def _hdf5(source: Source) -> list[RawFrame]:
    return read_hdf5(source.path, source.key, source.length_unit, source.energy_unit, source.gradient_unit, source.charge or 0.0)


def _xyz(source: Source) -> list[RawFrame]:
    return read_xyz(source.path, source.energy_unit, source.charge, source.gradient_unit, source.key)


def _emle(source: Source) -> list[RawFrame]:
    return read_emle(source.path, point_charges_of(source), source.energy_unit, source.charge, source.gradient_unit, source.key)


def point_charges_of(source: Source) -> Path:
    """EMLE's second file: pc.xyz beside the first unless it is given."""
    return source.pc or source.path.parent / "pc.xyz"


_OF_XYZ = ("key", "energy_unit", "gradient_unit", "charge")

FORMATS = {
    "amp_qmmm": Format(_amp_qmmm, ("prefix", "allow_pickle", "charge")),
    "hdf5": Format(_hdf5, (*_OF_XYZ, "length_unit")),
    "emle": Format(_emle, (*_OF_XYZ, "pc")),
    "xyz": Format(_xyz, _OF_XYZ),
    "qm9": Format(
        lambda source: qm9.read_qm9(source.path, source.uncharacterized, progress=True), ("uncharacterized",), qm9.LEVEL_OF_THEORY,
        qm9.ENERGY_REFERENCE,
    ),
    "rmd17": Format(lambda source: rmd17.read_rmd17(source.path), (), rmd17.LEVEL_OF_THEORY),
}  # fmt: skip
"""By the name that ``--format`` has."""


def convert_file(source: Source, output: Path, form: str, level_of_theory: str | None = None, plausibility_check: bool = True) -> list[str]:
    """Read ``source`` and write it as reference data of ours.

    Args:
        source: what is read.
        output: ``*.h5``.
        form: of :data:`FORMATS`.
        level_of_theory: of the energies, as text.
        plausibility_check: find wrong units and signs.

    Returns:
        Lines that tell what was written, and what was not taken over.

    Raises:
        InputError: for an unknown format, a level of theory that is missing or known, and what the format does not take.
        DataFileError: if the source cannot be read.
    """
    of_folder = {f"the source {path.name}": path for pattern in ("*.npy", "dsgdb9nsd_*.xyz") for path in source.path.glob(pattern)}
    read_too = {"the point charges": point_charges_of(source), "the list of molecules": source.uncharacterized}
    check_outputs([output], {"the source": source.path, **read_too, **of_folder})
    if form not in FORMATS:
        raise InputError(f"--format must be one of {', '.join(FORMATS)}, got {form!r}.")
    chosen = FORMATS[form]
    if level_of_theory is None and chosen.level_of_theory is None:
        raise InputError("--level-of-theory is missing; give that of the energies, as text.")
    ignored = [_option(name) for name in source.given() if name not in chosen.takes]
    if level_of_theory is not None and chosen.level_of_theory is not None:
        ignored.append("--level-of-theory")
    if ignored:
        raise InputError(f"{', '.join(ignored)} has no meaning for --format {form}; leave it out.")
    frames = chosen.read(source)
    command = shlex.join(["amp-tf", "convert", source.path.resolve().name, output.name, f"--format={form}", *source.as_options()])
    level = chosen.level_of_theory or level_of_theory or ""
    data = as_reference_data(frames, str(source.path.resolve()), level, command, chosen.energy_reference)
    if plausibility_check:
        check_plausible(data)
    digest = write_reference_data(output, data.provenance, data.groups)
    charges = ", ".join(f"{total:g}" for total in sorted({group.total_charge for group in data.groups}))
    names = [name for name in KEYS[2:] if name not in ("mm_positions", "mm_charges")]
    labels = ", ".join([name for name in names if any(getattr(group, name) is not None for group in data.groups)] + data.target_names)
    said = [f"{output}: {len(data)} frames in {len(data.groups)} group(s) with {labels}; total charge {charges} e; sha256 {digest}"]
    if names := left_out(frames, data):
        said.append(f"not taken over, because it is no number or not in all frames of a group: {', '.join(names)}")
    return said


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
