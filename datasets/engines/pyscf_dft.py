"""Density functional theory with PySCF (https://pyscf.org), density-fitted, with all gradients in the field of point charges."""

import numpy as np
from ase.data import chemical_symbols

from amp_tf import units
from amp_tf.errors import EngineError
from datasets.engines.base import Calculation, CalculationError
from datasets.engines.embedding import EmbeddedResult, EmbeddingEngine
from datasets.engines.pyscf_errors import sentences

STORED_ORBITALS, SUBSPACE = 300, 12
"""The integrals of density fitting are kept up to so many basis functions (half a gigabyte); vectors of the DIIS (PySCF's eight stall)."""


class PySCFDFTEngine(EmbeddingEngine):
    """Restricted Kohn–Sham with PySCF; Mulliken charges.

    Args:
        method: exchange-correlation functional by PySCF's name, such as ``"pbe"`` or ``"b3lyp"``.
        basis: such as ``"def2-svp"``, with the effective core potentials that belong to it; PySCF chooses its density-fitting companion.
        n_threads: of one calculation.
    """

    name = "pyscf"
    install = "pip install 'amp_tf[reference]'"

    def __init__(self, method: str = "pbe", basis: str | None = "def2-svp", n_threads: int = 1):
        super().__init__(method, basis or "def2-svp", n_threads)
        self._last: tuple[tuple, np.ndarray] | None = None

    @property
    def level_of_theory(self) -> str:
        return f"density-fitted RKS {super().level_of_theory}"

    def _import(self):
        try:
            import pyscf
            import pyscf.dft
            import pyscf.qmmm
        except ImportError as error:
            raise EngineError(f"PySCF is not installed; install it with: {self.install}") from error
        return pyscf

    def version(self) -> str:
        return self._import().__version__

    def energy(self, calculation: Calculation) -> float:
        pyscf = self._import()
        with pyscf.lib.with_omp_threads(self.n_threads):
            return float(self._converged(pyscf, calculation, 3e-5).e_tot) * units.HARTREE  # variational: the error is that squared

    def _converged(self, pyscf, calculation: Calculation, orbital_gradient: float):
        """The self-consistent field of a calculation, to an energy within 1e-10 hartree and this orbital gradient.

        It starts on a coarse grid, from the density of the same atoms at the same places in another field where that was the last one.
        """
        with sentences("functional, basis and charge"):
            places = zip(calculation.atomic_numbers, calculation.positions_bohr, strict=True)
            atoms = [(int(number), tuple(place)) for number, place in places]
            cores = core_potentials(pyscf, self.basis, calculation.atomic_numbers)
            molecule = pyscf.M(atom=atoms, unit="Bohr", basis=self.basis, ecp=cores, charge=calculation.charge, verbose=0)
            state = pyscf.dft.RKS(molecule, xc=self.method).density_fit()
            if molecule.nao <= STORED_ORBITALS:
                state.with_df.build()  # otherwise computed anew in every cycle
            if _has_field(calculation):
                state = pyscf.qmmm.mm_charge(state, calculation.mm_positions_bohr, np.asarray(calculation.mm_charges), unit="Bohr")
            state.diis_space = SUBSPACE
            same = (calculation.charge, *atoms)
            density = self._last[1] if self._last and self._last[0] == same else None
            fine, state.grids.level = state.grids.level, 1
            state.conv_tol, state.conv_tol_grad = 1e-6, 1e-3
            state.kernel(density)
            density, state.grids.level = state.make_rdm1(), fine
            state.grids.reset()
            state.conv_tol, state.conv_tol_grad = 1e-10, orbital_gradient
            state.kernel(density)
        if not state.converged:
            raise CalculationError(f"PySCF: {self.level_of_theory} did not converge; look at the geometry.")
        self._last = same, state.make_rdm1()
        return state

    def embedded(self, calculation: Calculation) -> EmbeddedResult:
        pyscf = self._import()
        with pyscf.lib.with_omp_threads(self.n_threads), sentences("functional, basis and charge"):
            state = self._converged(pyscf, calculation, 1e-6)
            density = state.make_rdm1()
            gradients = state.nuc_grad_method()
            gradients.grid_response = True
            qm_gradients = gradients.kernel()
            mm_gradients = gradients.grad_hcore_mm(density) + gradients.grad_nuc_mm() if _has_field(calculation) else np.zeros((0, 3))
            charges = state.mulliken_pop(verbose=0)[1]
            dipole = state.dip_moment(unit="AU", verbose=0)
        per_length = units.HARTREE / units.BOHR
        energy, gradients = float(state.e_tot) * units.HARTREE, (qm_gradients * per_length, mm_gradients * per_length)
        return EmbeddedResult(energy, *gradients, np.asarray(charges), dipole * units.BOHR)


def core_potentials(pyscf, basis: str, atomic_numbers: np.ndarray) -> dict[str, list]:
    """The effective core potentials of a basis by element, of those that have one: without it the basis would lack its core."""
    symbols = {chemical_symbols[number] for number in atomic_numbers}
    found = {symbol: pyscf.gto.basis.load_ecp(basis, symbol) for symbol in sorted(symbols)}
    return {symbol: potential for symbol, potential in found.items() if potential}


def _has_field(calculation: Calculation) -> bool:
    return calculation.mm_charges is not None and len(calculation.mm_charges) > 0
