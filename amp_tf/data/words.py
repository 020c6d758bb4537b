"""What the words of a frame say of its charge and spin: ``charge: 1``, ``multiplicity 3``, ``SO4 2-``, ``triplet state``, ``a cation``."""

import re
from dataclasses import dataclass

_WHOLE = r"([+-]?\s?\d{1,6})(?:\.0*)?([+-]?)(?![\w.])"
_CHARGES = (
    re.compile(rf"(?:charge|chrg|chg)(?![a-z])(?:\s*[(\[]\w+[)\]])?(?:\s+(?:is|of|was))?[\s:=;'\"]*{_WHOLE}", re.IGNORECASE),
    re.compile(rf"(?<![a-z\d])q(?:\s*[:=]\s*|\s+(?=[+-])){_WHOLE}", re.IGNORECASE),
    re.compile(r"(?<![\w.])([+-]\d|\d(?=[+-]))([+-]?)\s*charged?(?![a-z])", re.IGNORECASE),
    re.compile(r"(?:(?<=[\s(^])|^(?=..$))(\d)([+-])(?=$|[\s)])"),
)
_MULTIPLICITY = re.compile(
    r"(?:mult(?:iplicity)?|spin|2s\s*\+\s*1)(?![a-z])(?:\s+(?:is|of|was))?[\s:=;'\"]*(\d+(?:\.\d+)?(?:/2)?)(?!\w)", re.IGNORECASE
)
_UNPAIRED = re.compile(
    r"(?:uhf|nopen|unpaired(?:[\s_]electrons?)?)(?![a-z])(?:\s+is)?[\s:=]*[1-9]\d*(?![\w.+*-])|(?<![\w.])(?:[1-9]|one|two|three)\s+unpaired",
    re.IGNORECASE,
)
_SHELL = re.compile(
    r"(?<![a-z])(?:doublet|triplet|quartet|quintet|sextet|septet|biradical|diradical|open[\s_-]?shell)(?![a-z])", re.IGNORECASE
)
_ION = re.compile(r"(?<![a-z])(?:mono|di|tri|poly)?(?:cation|anion)(?:ic)?(?![a-z])", re.IGNORECASE)
_START = re.compile(r"([+-]\d{1,2}|\d)[\s,;]+(\d)(?![\w.])")
_SIGNED = re.compile(r"([+-]\d)(?![\w.])")


@dataclass(frozen=True)
class Said:
    """What words say.

    Attributes:
        charges: total charges, e.
        is_ion: whether they name an ion without its charge.
        is_open: whether they name an open shell.
    """

    charges: frozenset[int]
    is_ion: bool
    is_open: bool


def said(text: str) -> Said:
    """What ``text`` says of charge and spin; names, numbers of steps and energies say nothing."""
    charges = set()
    for pattern in _CHARGES:
        for number, sign in pattern.findall(text):
            size = int(re.sub(r"\s", "", number))
            charges.add(-size if sign == "-" else size)
    multiplicities = [number for number in _MULTIPLICITY.findall(text) if "/" in number or float(number) != 1.0]
    is_open = bool(multiplicities or _UNPAIRED.search(text) or _SHELL.search(text))
    return Said(frozenset(charges), _ION.search(text) is not None, is_open)


def charge_and_multiplicity(line: str) -> tuple[int, int | None] | None:
    """The charge, e, and the multiplicity with which a line begins (``1 1``, ``-1, 2 name``; ``-1`` has no multiplicity), or None."""
    if both := _START.match(line):
        return int(both.group(1)), int(both.group(2))
    return (int(alone.group(1)), None) if (alone := _SIGNED.match(line)) else None
