"""Extended xyz, line by line, as ASE's Atoms: nothing in a file is passed over, and what cannot be read is named by its line.

ASE reads the values of the second line of a frame; its own reader ends at a blank line without a word and drops columns that are too many.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, chemical_symbols
from ase.io.extxyz import key_val_str_to_dict

from amp_tf.data.electrons import speaks_of_electrons
from amp_tf.data.text import plain_count, plain_number, read_lines
from amp_tf.errors import DataFileError, InputError

ATOM_RESULTS = ("forces", "charges", "magmoms", "energies", "stresses")
"""Columns that ASE takes for results of a calculator."""

FRAME_RESULTS = ("energy", "free_energy", "dipole", "magmom", "stress")
"""Keys of the second line that ASE takes for results of a calculator."""

_ASE_NAMES = {"pos": "positions", "Z": "numbers", "species": "symbols", "charge": "charges"}
_PART = r"""(?:\\.|"(?:\\.|[^"\\])*(?:"|$)|'(?:\\.|[^'\\])*(?:'|$)|\{[^}]*(?:\}|$)|\[[^\]]*(?:\]|$)|[^\s="'{\[\\]|\\$)+"""
_PAIR = re.compile(rf"(?P<key>{_PART})?(?:\s*=(?P<value>(?:=|{_PART})+|\s+(?!{_PART}\s*=){_PART}|))?")
_NAME = r"[^\W\d][\w-]*"
_NEXT_PAIR = re.compile(rf"""["']({_NAME}\s*=)""")
_ENCLOSED = re.compile(r""""[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]""")
_GHOST = re.compile(r"x{1,2}\d*|(bq|gh|du|ghost|dummy|q)\b.*|(bq|gh)[-_:(\d].*|@.*|.*[-_:(](bq|gh|ghost)\)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    width: int


def read_atoms(path: Path | str) -> list[ase.Atoms]:
    """The frames of an extended xyz file; blank lines may stand between them.

    What the second line of a frame states is in ``info`` (a line without ``key=value`` as ``comment``), further columns are in ``arrays``,
    and what ASE takes for results is in ``calc.results``.

    Raises:
        DataFileError: if the file cannot be read or holds no frame; names the line.
        InputError: for a periodic frame, which is no isolated molecule.
    """
    lines = read_lines(path)
    frames: list[ase.Atoms] = []
    isotopes: dict[str, int] = {}
    position = 0
    while position < len(lines):
        if not lines[position].strip():
            position += 1
            continue
        frame = _Frame(lines, position)
        try:
            atoms = frame.read()
        except Exception as error:  # the values of a frame are read by ASE, which raises what comes
            raise DataFileError(f"{path}, line {frame.line + 1}: {' '.join(str(error).split())[:300]}.") from error
        if atoms.pbc.any():
            raise InputError(f'{path}, frame {len(frames)}: periodic; only isolated molecules are supported (pbc="F F F").')
        isotopes = frame.isotopes | isotopes
        position += 2 + len(atoms)
        frames.append(atoms)
    if not frames:
        raise DataFileError(f"{path}: there is no frame; give a file of extended xyz.")
    for word, line in isotopes.items():
        warnings.warn(f"{path}, line {line + 1}: {word} is taken for {_symbol(word)[0]}; isotopes have the same energies.", stacklevel=2)
    return frames


class _Frame:
    """One frame, and the line at which its reading stands."""

    def __init__(self, lines: Sequence[str], start: int):
        self.lines, self.line = lines, start
        self.isotopes: dict[str, int] = {}

    def read(self) -> ase.Atoms:
        start, count = self.line, plain_count(self.lines[self.line])
        if count == 0:
            raise ValueError("a frame of 0 atoms; leave it out")
        if (left := len(self.lines) - start - 2) < count:
            raise ValueError(f"{count} atoms are announced, but only {max(left, 0)} lines follow; complete the file")
        self.line += 1
        info = _second_line(self.lines[self.line])
        columns = _columns(info.pop("Properties", "species:S:1:pos:R:3"))
        rows = []
        for self.line in range(start + 2, start + 2 + count):
            rows.append(self._row(columns))
        self.line = start + 1
        arrays = {}
        for number, column in enumerate(columns):
            values = np.array([row[number] for row in rows])
            arrays[_ASE_NAMES.get(column.name, column.name)] = values[:, 0] if column.width == 1 else values
        return _as_atoms(arrays, info)

    def _row(self, columns: Sequence[_Column]) -> list[list]:
        words = self.lines[self.line].split()
        width = sum(column.width for column in columns)
        if len(words) != width:
            expected = ", ".join(f"{column.name} ({column.width})" for column in columns)
            raise ValueError(f"{width} columns are expected, {expected}, but there are {len(words)}; name all in Properties=")
        row, first = [], 0
        for column in columns:
            of_column = words[first : first + column.width]
            first += column.width
            if column.name == "species":
                symbol, is_isotope = _symbol(of_column[0])
                if is_isotope:
                    self.isotopes.setdefault(of_column[0], self.line)
                row.append([symbol])
            else:
                row.append([_READ[column.kind](word) for word in of_column])
        return row


def _second_line(line: str) -> dict[str, object]:
    """The values of the pairs ``key=value`` by key, as ASE reads them; an empty value is "" and takes nothing of the next pair.

    Words beside the pairs are flags, as in ASE, where all are names; else they are the ``comment``, as a line without pairs is.
    """
    line = line.strip()
    info: dict[str, object] = {}
    words = []
    for match in _PAIR.finditer(line):
        key, value, text = match["key"], match["value"], match.group().strip()
        if value is None or re.fullmatch(r"\s*=+", value) or (key is None and not re.search(r"\w", value)):
            words += [text] if text else []
            continue
        value = value.strip()
        if key is None:
            raise ValueError(f"{text[:100]!r} has no key; write KEY=VALUE, or leave it out")
        if swallowed := _swallowed(key, value):
            raise ValueError(f"{text[:100]!r} holds {swallowed!r}; put a blank between two pairs, or the whole value in quotes")
        ((name, read),) = key_val_str_to_dict(f"{key}={value or 'T'}").items()
        if name in info:
            raise ValueError(f"the key {name!r} is given twice; leave one of them out")
        is_empty = value in ("", '""', "''")
        as_text = "_" in value and np.asarray(read).dtype.kind in "if" and not value.startswith('"_JSON')
        info[name] = "" if is_empty else value if as_text else read
    if info and all(word.isidentifier() for word in words):
        return {word: True for word in words if word not in info} | info
    if words and "comment" in info:
        words.insert(0, str(info["comment"]))
    return info | {"comment": " ".join(words) if info else line} if words else info


def _swallowed(key: str, value: str) -> str | None:
    """The ``key=`` of another pair that key or value hold outside of quotes; ``InChI=1S/CH4/h1H4``, ``C=O`` hold none.

    What ASE writes without quotes, such as ``route=opt=tight,scf=fine``, is a value, as long as no charge, spin or label is in it.
    """
    if re.search("[\"']", key) and not _ENCLOSED.fullmatch(key):
        return key
    value = re.sub(r"\\.", "", value)
    outside = _ENCLOSED.sub(lambda found: '"' if found.group()[0] in "\"'" else "]", value)
    swallowed = _NEXT_PAIR.findall(outside) + re.findall(rf"""["'{{\[].*?({_NAME}\s*=)""", _ENCLOSED.sub("", value))
    names = (name for name in re.findall(f"({_NAME})=", outside) if name in FRAME_RESULTS or speaks_of_electrons(name))
    return next(iter(swallowed + [f"{name}=" for name in names]), None)


def _columns(properties: object) -> list[_Column]:
    words = str(properties).split(":")
    columns = [
        _Column(name, kind, int(width) if width.isdigit() else 0)
        for name, kind, width in zip(words[::3], words[1::3], words[2::3], strict=False)
    ]
    names = [column.name for column in columns]
    if len(words) % 3 or len(set(names)) < len(names) or any(not c.name or c.kind not in _READ or not c.width for c in columns):
        raise ValueError(f"Properties={str(properties)[:100]} is no list of NAME:TYPE:NUMBER of columns with types R, I, S, L; correct it")
    expected = {"pos": ("R", 3), "species": ("S", 1), "Z": ("I", 1)}
    wrong = [c.name for c in columns if expected.get(c.name, (c.kind, c.width)) != (c.kind, c.width)]
    if wrong or "pos" not in names or not {"species", "Z"} & set(names):
        raise ValueError(f"Properties={str(properties)[:100]} must name species:S:1 or Z:I:1, and pos:R:3; correct it")
    return columns


def _symbol(word: str) -> tuple[str, bool]:
    """The chemical symbol that a word stands for, and whether it names an isotope."""
    isotope = re.fullmatch(r"\d+([A-Za-z]{1,2})", word)
    symbol = (isotope.group(1) if isotope else word).capitalize()
    if symbol in ("D", "T"):
        return "H", True
    if atomic_numbers.get(symbol):
        return symbol, isotope is not None
    if _GHOST.fullmatch(word):
        raise ValueError(f"{word!r} is a ghost or dummy atom, which has no nucleus; leave it out")
    start = re.match(r"[A-Za-z]{1,2}", word)
    guesses = [part.capitalize() for part in (start.group(), start.group()[0])] if start else []
    if word.isdigit() and 0 < int(word) < len(chemical_symbols):
        guesses = [chemical_symbols[int(word)]]
    guess = next((guess for guess in guesses if atomic_numbers.get(guess)), None)
    raise ValueError(f"{word!r} is no chemical symbol; {f'write {guess!r}' if guess else 'correct it'}")


def _whole(word: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", word):
        raise ValueError(f"{word!r} is no whole number; correct it")
    return int(word)


def _logical(word: str) -> bool:
    if word not in ("T", "F", "True", "False"):
        raise ValueError(f"{word!r} is neither T nor F; correct it")
    return word in ("T", "True")


_READ = {"R": plain_number, "I": _whole, "S": str, "L": _logical}


def _as_atoms(arrays: dict[str, np.ndarray], info: dict[str, object]) -> ase.Atoms:
    lattice = info.pop("Lattice", None)
    pbc = info.pop("pbc", lattice is not None)
    if np.asarray(pbc).dtype.kind != "b" or np.shape(pbc) not in ((), (3,)):
        raise ValueError(f"pbc={pbc!r} must be T or F, or three of them; correct it")
    numbers, symbols, positions = arrays.pop("numbers", None), arrays.pop("symbols", None), arrays.pop("positions")
    of_symbols = None if symbols is None else np.array([atomic_numbers[symbol] for symbol in symbols])
    numbers = of_symbols if numbers is None else numbers
    if np.any((numbers < 1) | (numbers >= len(chemical_symbols))):
        raise ValueError(f"atomic numbers must be those of elements, got {numbers.tolist()[:40]}; correct Z")
    if of_symbols is not None and np.any(numbers != of_symbols):
        raise ValueError("the columns species and Z contradict each other; leave one of them out")
    results = {name: arrays.pop(name) for name in ATOM_RESULTS if name in arrays}
    results |= {name: info.pop(name) for name in FRAME_RESULTS if name in info}
    cell = None if lattice is None else np.asarray(lattice).T
    atoms = ase.Atoms(numbers, positions, cell=cell, pbc=pbc, info=info)
    for name, array in arrays.items():
        atoms.new_array(name, array)
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms
