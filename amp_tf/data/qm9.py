"""The raw archive of QM9: Ramakrishnan, Dral, Rupp, von Lilienfeld, Sci. Data 1, 140022 (2014), doi 10.6084/m9.figshare.978904.

A member ``dsgdb9nsd_000001.xyz`` holds the number of its atoms; ``gdb 1`` and fifteen numbers (:data:`COLUMNS`); a line ``symbol x y z
charge`` an atom, in angstrom and e (Mulliken); and, in the published archive, harmonic frequencies, SMILES and InChI.
"""

import bz2
import gzip
import lzma
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from ase.data import atomic_numbers

from amp_tf import units
from amp_tf.data.frames import RawFrame
from amp_tf.data.text import plain_count, plain_number, read_lines
from amp_tf.errors import DataFileError
from amp_tf.progress import progress_bar

LEVEL_OF_THEORY = "B3LYP/6-31G(2df,p)"

COLUMNS = {
    "mu": units.DEBYE,
    "alpha": units.BOHR**3,
    "homo": units.HARTREE,
    "lumo": units.HARTREE,
    "gap": units.HARTREE,
    "r2": units.BOHR**2,
    "zpve": units.HARTREE,
    "u0": units.HARTREE,
    "u": units.HARTREE,
    "h": units.HARTREE,
    "g": units.HARTREE,
    "cv": units.KCAL_PER_MOL,
}
"""The numbers of the second line after the three rotational constants, and the factor to our unit of each (cv: cal/mol/K to J/mol/K)."""

ISOLATED_ATOMS = {
    "u0": {"H": -0.500273, "C": -37.846772, "N": -54.583861, "O": -75.064579, "F": -99.718730},
    "u": {"H": -0.498857, "C": -37.845355, "N": -54.582445, "O": -75.063163, "F": -99.717314},
    "h": {"H": -0.497912, "C": -37.844411, "N": -54.581501, "O": -75.062219, "F": -99.716370},
    "g": {"H": -0.510927, "C": -37.861317, "N": -54.598897, "O": -75.079532, "F": -99.733544},
}
"""What the four energies are counted from here, hartree: those of the isolated atoms, as published with the archive (atomref.txt)."""

ENERGY_REFERENCE = "isolated atoms at the same level; energies are U0, so are u0, u, h and g counted from those of the atoms"

LARGEST_MEMBER = 100_000
"""Bytes; a molecule of QM9 has some two thousand."""

GAP_ROUNDING = 2.1e-4
"""By how much LUMO - HOMO and the gap, each given to 1e-4 hartree, may differ."""

_BLOCK, _TAR_END = 1 << 20, 1024  # bytes; those at the end of a tar file are zero
_NAME = re.compile(r"dsgdb9nsd_(\d{6})\.xyz")
NO_MOLECULE = "is no molecule of QM9, whose names are like dsgdb9nsd_000001.xyz"


def read_qm9(path: Path, uncharacterized: Path | None = None, progress: bool = False) -> list[RawFrame]:
    """The molecules of the archive, or of a folder of its members, with the twelve targets in our units.

    The atoms of a molecule are sorted, heavy ones first, so that molecules of one composition make one group. ``energy`` is U0, and U0, U,
    H and G are counted from the isolated atoms. The property ``gdb`` is the number of the molecule.

    Args:
        path: ``dsgdb9nsd.xyz.tar.bz2``, a tar file with any compression or none, or a folder.
        uncharacterized: the published list of molecules whose geometry failed the consistency check, which are left out.
        progress: show a bar.

    Raises:
        DataFileError: for what is no such archive, and for a member that is damaged or altered; names the member.
    """
    excluded = set() if uncharacterized is None else read_uncharacterized(uncharacterized)
    frames, numbers = [], set()
    for member, text in _members(path, progress):
        try:
            number = _number_of(member)
            if number in numbers:
                raise ValueError("comes twice")
            numbers.add(number)
            frame = _read_molecule(text, number)
        except ValueError as error:
            raise DataFileError(f"{path}: {member}: {error}; get the archive again.") from error
        if number not in excluded:
            frames.append(frame)
    if not frames:
        raise DataFileError(f"{path}: there is no molecule; give QM9's dsgdb9nsd.xyz.tar.bz2 or a folder of its members.")
    return frames


def read_uncharacterized(path: Path) -> set[int]:
    """The numbers of the molecules in the published list ``uncharacterized.txt``, or in one with a number a line.

    Raises:
        DataFileError: if there is none, one comes twice, or not as many as the list says at its end ("3054 compounds").
    """
    rows = [line.split() for line in read_lines(path)]
    numbers = [int(row[0]) for row in rows if len(row) != 2 and row and row[0].isascii() and row[0].isdigit()]
    if not numbers or len(set(numbers)) < len(numbers):
        problem = "no number of a molecule at the start of a line" if not numbers else "a molecule twice"
        raise DataFileError(f"{path}: holds {problem}; give the list uncharacterized.txt that is published with QM9.")
    said = [int(row[0]) for row in rows if row[1:] == ["compounds"] and row[0].isascii() and row[0].isdigit()]
    if said and said != [len(numbers)]:
        raise DataFileError(f"{path}: lists {len(numbers)} molecules and says {said[0]}; get the list again.")
    return set(numbers)


def _members(path: Path, progress: bool) -> Iterator[tuple[str, str]]:
    """Name and text of each member, one after the other."""
    if path.is_dir():
        for file in progress_bar(sorted(path.iterdir()), desc=path.name, unit="molecule", disable=not progress):
            where = f"{path}: {file.name}"
            if _NAME.fullmatch(file.name) is None:
                raise DataFileError(f"{where}: {NO_MOLECULE}; take it out of the folder.")
            try:
                yield file.name, _text(file.stat().st_size, file.read_bytes, where)
            except OSError as error:
                raise DataFileError(f"{where}: cannot be read ({error.strerror}); get the archive again.") from error
        return
    last = "its first member"
    try:
        bar = progress_bar(total=path.stat().st_size, desc=path.name, unit="B", unit_scale=True, disable=not progress)
        with bar, open(path, "rb") as file, _unpacked(file) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                last = member.name
                bar.update(file.tell() - bar.n)
                if not member.isfile():
                    raise DataFileError(f"{path}: {last}: is no file; give QM9's dsgdb9nsd.xyz.tar.bz2.")
                yield last, _text(member.size, archive.extractfile(member).read, f"{path}: {last}")
            if len(stream.read(_BLOCK)) == _BLOCK:  # a tar file that ends too soon may look whole; what packed it knows
                raise EOFError("more follows than the end of an archive")
            if stream is file and (file.seek(-min(_TAR_END, file.tell()), os.SEEK_END), file.read())[1] != bytes(_TAR_END):
                raise EOFError("the end is missing")
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(f"{path}: no archive, or truncated after {last} ({error}); get QM9's dsgdb9nsd.xyz.tar.bz2 again.") from error


def _unpacked(file: BinaryIO) -> BinaryIO:
    """What a packed file unpacks to, which raises EOFError where it was truncated; the file itself where it is not packed."""
    start = file.read(6)
    file.seek(0)
    packings = {b"BZh": bz2.open, b"\x1f\x8b": gzip.open, b"\xfd7zXZ\0": lzma.open}
    return next((unpack(file) for magic, unpack in packings.items() if start.startswith(magic)), file)


def _text(size: int, read, where: str) -> str:
    if size > LARGEST_MEMBER:
        raise DataFileError(f"{where}: has {size} bytes, which no molecule of QM9 has; get the archive again.")
    try:
        return read().decode("ascii")
    except UnicodeDecodeError as error:
        raise DataFileError(f"{where}: is no text; get the archive again.") from error


def _number_of(member: str) -> int:
    if (match := _NAME.fullmatch(member.rpartition("/")[2])) is None:
        raise ValueError(NO_MOLECULE)
    return int(match.group(1))


def frame_of(
    symbols: Sequence[str], positions: np.ndarray, charges: np.ndarray, published: Mapping[str, float], properties: Mapping[str, float]
) -> RawFrame:
    """A molecule in our units.

    Args:
        symbols: of the atoms, heavy ones first.
        positions: [n_atoms, 3], angstrom.
        charges: [n_atoms], e; all zero where they are not known.
        published: the values of :data:`COLUMNS` in QM9's units, energies as the program gives them.
        properties: more numbers of the molecule, such as ``gdb``, its number in QM9.
    """
    counted = dict(published)
    for name, energies in ISOLATED_ATOMS.items():
        counted[name] -= sum(energies[symbol] for symbol in symbols)
    targets = {name: counted[name] * factor for name, factor in COLUMNS.items()}
    numbers = np.array([atomic_numbers[symbol] for symbol in symbols])
    known = charges if np.any(charges) else None
    return RawFrame(numbers, positions, targets["u0"], charges=known, targets=targets, properties=dict(properties))


def _read_molecule(text: str, number: int) -> RawFrame:
    """Raises:
    ValueError: saying what is missing or does not fit.
    """
    lines = text.split("\n")
    n_atoms = plain_count(lines[0])
    head = lines[1].split() if len(lines) > 1 else []
    if head[:2] != ["gdb", str(number)] or len(head) != 5 + len(COLUMNS):
        raise ValueError(f"its second line must be 'gdb {number}' and fifteen numbers")
    published = dict(zip(COLUMNS, map(_number, head[5:]), strict=True))
    _check_consistent(published)
    rows = [line.split() for line in lines[2 : 2 + n_atoms]]
    if not 0 < len(rows) == n_atoms or not all(map(_is_atom, rows)) or any(map(_is_atom, map(str.split, lines[2 + n_atoms :]))):
        raise ValueError(f"it must have {n_atoms} lines 'symbol x y z charge' of H, C, N, O or F, and no more")
    rows.sort(key=lambda row: -atomic_numbers[row[0]])
    symbols = [row[0] for row in rows]
    columns = np.array([[_number(word) for word in row[1:]] for row in rows])
    return frame_of(symbols, columns[:, :3], columns[:, 3], published, {"gdb": float(number)})


def _is_atom(row: Sequence[str]) -> bool:
    return len(row) == 5 and row[0] in ISOLATED_ATOMS["u0"]


def _number(word: str) -> float:
    """The value of a number, whose exponent may be written as Mathematica does, ``1.5*^-6``."""
    return plain_number(word.replace("*^", "e"))


def _check_consistent(published: Mapping[str, float]) -> None:
    """What must hold between the numbers of a molecule, so that one that was altered is found.

    Raises:
        ValueError: saying what does not hold.
    """
    homo, lumo, gap, u0, u, h, g = (published[name] for name in ("homo", "lumo", "gap", "u0", "u", "h", "g"))
    if abs(lumo - homo - gap) > GAP_ROUNDING:
        raise ValueError(f"the gap, {gap} hartree, is not the difference of LUMO and HOMO, {lumo} and {homo}")
    if not u0 < u < h or not g < h:
        raise ValueError(f"U0 < U < H and G < H must hold, got {u0}, {u}, {h} and {g} hartree")
