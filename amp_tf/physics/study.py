"""What the study of ML potentials says of its models, by test: S. Ortiz Ropero, bachelor thesis, Universitat Autònoma de Barcelona, draft
of 10 March 2025. It states no thresholds and no grids, and is silent on the tests that are not named here."""

from dataclasses import dataclass

from amp_tf.physics.verdicts import FAIL, NOT_APPLICABLE, PASS, WARN


@dataclass(frozen=True)
class Published:
    """What the study says.

    Attributes:
        words: in short.
        verdict: what they amount to.
    """

    words: str
    verdict: str


def _right(words: str) -> Published:
    return Published(words, PASS)


def _wrong(words: str) -> Published:
    return Published(words, FAIL)


_INVARIANT = {"translation": _right("invariant"), "rotation": _right("invariant"), "momentum": _right("zero")}
_ANI = _INVARIANT | {
    "diatomics": _wrong("false minima, a high barrier, a wrong limit"),
    "stretch": Published("right minimum, depth too large or too small", WARN),
    "torsion": _right("three equal minima; biaryl symmetric"),
    "cyclobutadiene": _wrong("a square"),
    "cosan": Published("has no cobalt and no boron", NOT_APPLICABLE),
}
_MACE = _INVARIANT | {"diatomics": _right("right shape"), "stretch": _right("right, monotonic"), "bend": _right("right")}
_ORB = {
    "diatomics": _right("right shape"),
    "stretch": _right("right, monotonic"),
    "bend": Published("right, not quite symmetric", WARN),
    "torsion": _wrong("three minima, uneven; one sense of rotation preferred"),
    "translation": _right("invariant"),
    "rotation": _wrong("not invariant, 10 to 40 meV"),
    "momentum": _right("zero, as the model subtracts it"),
    "cosan": _wrong("scale far too large, no symmetry"),
}
STUDY: dict[str, dict[str, Published]] = {
    "ANI-1x": _ANI | {"bend": _wrong("straight water is lowest")},
    "ANI-1ccx": _ANI | {"bend": _wrong("top too high, ripples")},
    "ANI-2x": _ANI | {"bend": _right("right")},
    "MACE-MP": _MACE
    | {"torsion": _wrong("ethane turns freely"), "cyclobutadiene": _wrong("a square"), "cosan": _right("three states, C lowest")},
    "MACE-OFF": _MACE
    | {
        "torsion": _right("three equal minima"),
        "cyclobutadiene": _right("rectangles, as in its DFT"),
        "cosan": Published("has no cobalt", NOT_APPLICABLE),
    },
    "Orb-v2": _ORB | {"cyclobutadiene": _wrong("a square")},
    "Orb-D3-v2": _ORB | {"cyclobutadiene": _wrong("prefers an axis")},
}
"""By model, then by test."""
