"""What every engine of QM/MM data takes and gives: energy and all gradients of a molecule in the field of point charges."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from datasets.engines.base import Calculation


@dataclass(frozen=True)
class EmbeddedResult:
    """What one embedded calculation gives.

    Attributes:
        energy: of the molecule in the field, without the energy of the point charges among themselves (Eq. 9), kJ/mol.
        qm_gradients: [n_atoms, 3], kJ/mol/angstrom.
        mm_gradients: [n_mm, 3], kJ/mol/angstrom.
        charges: of the atoms [n_atoms], e, in the engine's population analysis.
        dipole: of the molecule [3], e*angstrom, about the origin of the positions.
    """

    energy: float
    qm_gradients: np.ndarray
    mm_gradients: np.ndarray
    charges: np.ndarray
    dipole: np.ndarray


class EmbeddingEngine(ABC):
    """A closed-shell quantum chemistry method with electrostatic embedding.

    Args:
        method: the engine's name of it, such as ``"gfn2"`` or ``"pbe"``.
        basis: orbital basis set; None for methods that bring their own.
        n_threads: of one calculation.
    """

    name: str
    install: str
    """The command that installs the engine."""

    def __init__(self, method: str, basis: str | None = None, n_threads: int = 1):
        self.method, self.basis, self.n_threads = method, basis, n_threads

    @property
    def level_of_theory(self) -> str:
        """Method and basis in words."""
        return self.method if self.basis is None else f"{self.method}/{self.basis}"

    @abstractmethod
    def version(self) -> str:
        """The version of the installed program.

        Raises:
            EngineError: if the engine is not installed; the message names the command that installs it.
        """

    @abstractmethod
    def embedded(self, calculation: Calculation) -> EmbeddedResult:
        """Energy, gradients, charges and dipole; without point charges ``mm_gradients`` is [0, 3].

        Raises:
            CalculationError: if the self-consistent field does not converge, or this calculation fails otherwise.
            EngineError: if the engine is not installed or fails.
        """

    def energy(self, calculation: Calculation) -> float:
        """The energy alone, kJ/mol; cheaper where an engine can leave the gradients out. Raises as :meth:`embedded`."""
        return self.embedded(calculation).energy
