"""Quantum chemistry engines behind one interface: :func:`get_engine` names them, :class:`Engine` says what they do."""

from datasets.engines.base import Calculation, ConvergenceError, Engine
from datasets.engines.psi4_engine import Psi4Engine
from datasets.engines.pyscf_engine import PySCFEngine

ENGINES: dict[str, type[Engine]] = {"psi4": Psi4Engine, "pyscf": PySCFEngine}

__all__ = ["ENGINES", "Calculation", "ConvergenceError", "Engine", "Psi4Engine", "PySCFEngine"]
