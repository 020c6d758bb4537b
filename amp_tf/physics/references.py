"""What the scans are compared with: bond lengths of nature, and curves that quantum chemistry gave (``data/references.json``)."""

import json
from functools import cache
from importlib import resources
from typing import Any

BOND_LENGTHS = {"H2": 0.7414, "N2": 1.0977, "O2": 1.2075, "F2": 1.4119, "Cl2": 1.9879, "Si2": 2.246}
"""At equilibrium, angstrom: K. P. Huber and G. Herzberg, Constants of Diatomic Molecules, 1979."""


@cache
def _references() -> dict[str, dict[str, Any]]:
    file = resources.files("amp_tf.physics").joinpath("data", "references.json")
    return json.loads(file.read_text())["curves"] if file.is_file() else {}


def reference(test: str, name: str) -> dict[str, Any] | None:
    """The curve of a test: ``x``, ``y`` (eV, from its lowest point or from the end), ``source``, and ``height`` or ``depth`` (eV)."""
    return _references().get(f"{test}/{name}")
