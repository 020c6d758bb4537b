"""Quantum chemistry engines behind two interfaces: :class:`Engine` (MP2) and :class:`EmbeddingEngine` (QM/MM with all gradients)."""

from datasets.engines.base import Calculation, CalculationError, Engine
from datasets.engines.embedding import EmbeddedResult, EmbeddingEngine
from datasets.engines.psi4_engine import Psi4Engine
from datasets.engines.pyscf_dft import PySCFDFTEngine
from datasets.engines.pyscf_engine import PySCFEngine
from datasets.engines.xtb_engine import XTBEngine

ENGINES: dict[str, type[Engine]] = {"psi4": Psi4Engine, "pyscf": PySCFEngine}
EMBEDDING_ENGINES: dict[str, type[EmbeddingEngine]] = {"xtb": XTBEngine, "pyscf": PySCFDFTEngine}

__all__ = [
    "EMBEDDING_ENGINES",
    "ENGINES",
    "Calculation",
    "CalculationError",
    "EmbeddedResult",
    "EmbeddingEngine",
    "Engine",
    "Psi4Engine",
    "PySCFDFTEngine",
    "PySCFEngine",
    "XTBEngine",
]
