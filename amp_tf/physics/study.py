"""What the study of ML potentials says of its models, in words, by test: S. Ortiz Ropero, bachelor thesis, Universitat Autònoma de
Barcelona, draft of 10 March 2025. It states no thresholds and no grids; what it does not have, it does not say."""

_INVARIANT = {"translation": "invariant", "rotation": "invariant", "momentum": "zero"}
_ANI = _INVARIANT | {
    "diatomics": "false minima, a high barrier, a wrong limit", "stretch": "right minimum, depth too large or too small",
    "torsion": "three equal minima; symmetric", "cyclobutadiene": "a square (wrong)", "cosan": "has no cobalt and no boron",
}  # fmt: skip
_MACE = _INVARIANT | {"diatomics": "right shape", "stretch": "right, monotonic", "bend": "right"}
_ORB = {
    "diatomics": "right shape", "stretch": "right, monotonic", "bend": "right, not quite symmetric", "translation": "invariant",
    "rotation": "not invariant, 10 to 40 meV", "momentum": "zero, as the model subtracts it",
    "torsion": "three minima, uneven; one sense of rotation preferred", "cosan": "scale far too large, no symmetry",
}  # fmt: skip
PUBLISHED = {
    "ANI-1x": _ANI | {"bend": "straight water is lowest (wrong)"},
    "ANI-1ccx": _ANI | {"bend": "top too high, ripples"},
    "ANI-2x": _ANI | {"bend": "right"},
    "MACE-MP": _MACE | {"torsion": "ethane turns freely (wrong)", "cyclobutadiene": "a square (wrong)", "cosan": "three states, C lowest"},
    "MACE-OFF": _MACE | {"torsion": "three equal minima", "cyclobutadiene": "rectangles, as in its DFT", "cosan": "has no cobalt"},
    "Orb-v2": _ORB | {"cyclobutadiene": "a square (wrong)"},
    "Orb-D3-v2": _ORB | {"cyclobutadiene": "prefers an axis"},
}
"""By model, then by test."""
