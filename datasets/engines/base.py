"""What every quantum chemistry engine of the builders takes and gives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from amp_tf import units
from amp_tf.errors import EngineError


class CalculationError(EngineError):
    """One calculation failed, and others may not: its self-consistent field did not converge, or the program complained of it.

    Builders leave such a frame out; other errors of an engine (not installed, killed, unknown basis) end the build.
    """


@dataclass(frozen=True)
class Calculation:
    """One single-point calculation.

    Attributes:
        atomic_numbers: [n_atoms].
        positions: [n_atoms, 3], angstrom.
        basis: orbital basis set; the engines add its JK-fitting and RI companions.
        charge: total charge, e. The shell is closed.
        mm_positions: [n_mm, 3], angstrom: point charges that polarize the molecule; None without.
        mm_charges: [n_mm], e. The energy of the point charges among themselves is left out (Eq. 9).
    """

    atomic_numbers: np.ndarray
    positions: np.ndarray
    basis: str = "aug-cc-pvtz"
    charge: int = 0
    mm_positions: np.ndarray | None = None
    mm_charges: np.ndarray | None = None

    @property
    def positions_bohr(self) -> np.ndarray:
        """Positions in bohr, converted here and not by the engines, whose tabulated bohr differ by year."""
        return np.asarray(self.positions) / units.BOHR

    @property
    def mm_positions_bohr(self) -> np.ndarray | None:
        """Positions of the point charges in bohr."""
        return None if self.mm_positions is None else np.asarray(self.mm_positions) / units.BOHR


class Engine(ABC):
    """MP2 on a Hartree–Fock reference, all electrons correlated, with or without point charges.

    Energies alone are density-fitted: the auxiliary bases are ``<basis>-jkfit`` for the reference and ``<basis>-ri`` for the correlation
    energy in every engine, so that two engines evaluate the same function and agree to their convergence thresholds.

    Args:
        n_threads: of one calculation.
        max_iterations: of the self-consistent field.
    """

    name: str
    install: str
    """The command that installs the engine."""

    level_of_theory = "DF-MP2 on DF-HF, all electrons correlated"
    gradient_level_of_theory = level_of_theory
    """The level of :meth:`energy_and_gradient`."""

    def __init__(self, n_threads: int = 1, max_iterations: int = 100):
        self.n_threads, self.max_iterations = n_threads, max_iterations

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
            CalculationError: if the self-consistent field does not converge, or this calculation fails otherwise.
            EngineError: if the engine is not installed or fails.
        """

    @abstractmethod
    def energy_and_gradient(self, calculation: Calculation) -> tuple[float, np.ndarray]:
        """Total energy in kJ/mol and its analytic derivative by the positions of the atoms, [n_atoms, 3], kJ/mol/angstrom.

        Raises:
            CalculationError, EngineError: as :meth:`energy`.
        """
