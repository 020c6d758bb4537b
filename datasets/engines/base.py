"""What every quantum chemistry engine of the builders takes and gives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from amp_tf import units


@dataclass(frozen=True)
class Calculation:
    """One single-point calculation.

    Attributes:
        atomic_numbers: [n_atoms].
        positions: [n_atoms, 3], angstrom.
        basis: orbital basis set; the engines add its JK-fitting and RI companions.
        charge: total charge, e. The shell is closed.
    """

    atomic_numbers: np.ndarray
    positions: np.ndarray
    basis: str = "aug-cc-pvtz"
    charge: int = 0

    @property
    def positions_bohr(self) -> np.ndarray:
        """Positions in bohr, converted here and not by the engines, whose tabulated bohr differ by year."""
        return np.asarray(self.positions) / units.BOHR


class Engine(ABC):
    """Density-fitted MP2 on a density-fitted Hartree–Fock reference, all electrons correlated.

    The auxiliary bases are ``<basis>-jkfit`` for the reference and ``<basis>-ri`` for the correlation energy in every engine, so that two
    engines evaluate the same function and agree to their convergence thresholds.
    """

    name: str
    install: str
    """The command that installs the engine."""

    level_of_theory = "DF-MP2 on DF-HF, all electrons correlated"

    def __init__(self, n_threads: int = 1):
        self.n_threads = n_threads

    @abstractmethod
    def version(self) -> str:
        """The version of the installed program.

        Raises:
            EngineError: if the engine is not installed; the message names the command that installs it.
        """

    @abstractmethod
    def energy(self, calculation: Calculation) -> float:
        """Total energy in kJ/mol.

        Raises:
            EngineError: if the engine is not installed, fails, or does not converge.
        """
