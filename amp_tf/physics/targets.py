"""What is to be examined, from the words of the command line: a potential of ours, or ``module:factory(key=value)``."""

import importlib
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ase.symbols import Symbols

from amp_tf.errors import InputError
from amp_tf.physics.subject import Molecule, Subject
from amp_tf.shipped import FILES, potential_file

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
FACTORY = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)(\((?P<settings>.*)\))?", re.DOTALL)


def read_target(text: str, exact: bool = False) -> Subject:
    """The subject that a word of the command line names.

    Args:
        text: a file ``*.keras``, the name of a potential that ships, or ``module:factory`` or ``module:factory(key=value, …)``, which is
            called for a calculator of ASE; values are read as YAML. Modules of the working directory are found.
        exact: in double precision where that is offered, and with full products of matrices on a GPU.

    Raises:
        InputError: for another form, a module or factory that is missing or raises, and what is no calculator.
    """
    if text.endswith(".keras") or text in FILES:
        return _of_potential(text, exact)
    if not (found := FACTORY.fullmatch(text.strip())):
        raise InputError(f"{text!r} is no target; give a potential (*.keras or {', '.join(FILES)}), or module:factory(key=value).")
    settings, name = _settings(found["settings"] or ""), f"{found['module']}:{found['name']}"
    factory = _factory(found["module"], found["name"])
    try:
        calculator = factory(**settings)
    except Exception as error:
        raise InputError(f"{name} raised {type(error).__name__}: {' '.join(str(error).split())[:200]}; correct its settings.") from error
    if exact:  # the factory has imported what it needs
        _be_exact()
    return Subject(calculator, text.strip())


def _settings(text: str) -> dict[str, Any]:
    """``key=value, …`` with YAML scalars."""
    settings: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in _split(text))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip().isidentifier():
            raise InputError(f"{part!r} is not of the form key=value; correct the factory's settings.")
        try:
            settings[key.strip()] = _number_of(value.strip()) if NUMBER.fullmatch(value.strip()) else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"the value of {key.strip()} is no YAML; correct the factory's settings.") from error
    return settings


def _number_of(text: str) -> float | int:
    """YAML would take 1e-3 for a word."""
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def _split(text: str) -> list[str]:
    """At commas that are in no quotes and no brackets."""
    parts, depth, quote, start = [], 0, "", 0
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "[{(":
            depth += 1
        elif sign in "]})":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _factory(module: str, name: str) -> Callable[..., Any]:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        raise InputError(
            f"the module {module} cannot be imported ({type(error).__name__}: {' '.join(str(error).split())[:150]})."
        ) from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InputError(f"the module {module} has no {name} that can be called for a calculator; correct the name.")
    return found


def _be_exact() -> None:
    """Full products of matrices, in an order that repeats, of whichever library is there."""
    if torch := sys.modules.get("torch"):
        torch.set_float32_matmul_precision("highest")
        torch.use_deterministic_algorithms(True, warn_only=True)
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.config.experimental.enable_tensor_float_32_execution(False)
        tensorflow.config.experimental.enable_op_determinism()


def _of_potential(text: str, exact: bool) -> Subject:
    from amp_tf import units
    from amp_tf.interfaces.ase import AMPCalculator
    from amp_tf.models import load_potential
    from amp_tf.models.ranges import training_molecule
    from amp_tf.systems import System

    if exact:
        _be_exact()
    potential = load_potential(potential_file(text), dtype="float64" if exact else None)
    calculator, own, needs_charges = AMPCalculator(potential), _shipped_molecule(text), False
    if own is None and (known := training_molecule(potential.provenance)) is not None:
        numbers, charge = np.array(known.atomic_numbers), round(known.total_charge)
        name, spin = Symbols(numbers).get_chemical_formula(), 1 + (int(numbers.sum()) - charge) % 2
        own = Molecule(name, numbers, np.array(known.positions), charge, spin, is_own=True)
        needs_charges = not known.is_alone

    def domain(molecule: Molecule) -> str | None:
        if own is not None and sorted(own.numbers) != sorted(molecule.numbers):
            return f"it is a potential of {own.name} alone"
        ranges = potential.training_ranges
        return None if ranges is None else ranges.geometry_complaint(System(molecule.numbers, molecule.positions, molecule.charge))

    def embed(molecule: Molecule, places: np.ndarray, charges: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        found = potential.compute(molecule.numbers, molecule.positions, places, charges, molecule.charge)
        return found["energy"] / units.EV, -found["qm_gradients"] / units.EV, -found["mm_gradients"] / units.EV

    embeds = potential.embeds_charges and not potential.mm_nodes
    is_bounded = own is not None or potential.training_ranges is not None
    return Subject(calculator, Path(text).name, domain if is_bounded else None, embed if embeds else None, own, needs_charges)


def _shipped_molecule(target: str) -> Molecule | None:
    """The molecule of a potential that ships, by its name or its file, of which a geometry ships too."""
    from amp_tf.physics.molecules import shipped

    name = next((name for name in FILES if Path(potential_file(target)).resolve() == potential_file(name).resolve()), None)
    with suppress(FileNotFoundError):
        return None if name is None else replace(shipped(name), is_own=True)
    return None
