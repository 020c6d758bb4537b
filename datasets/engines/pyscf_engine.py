"""MP2 with PySCF (https://pyscf.org), as a Python library in this process."""

import numpy as np

from amp_tf import units
from amp_tf.errors import EngineError
from datasets.engines.base import Calculation, CalculationError, Engine
from datasets.engines.pyscf_errors import sentences


class PySCFEngine(Engine):
    """PySCF: ``scf.RHF.density_fit`` and ``mp.dfmp2_native.DFMP2`` for energies; ``mp.MP2`` without density fitting for gradients, because
    PySCF has no analytic gradient of its density-fitted MP2. The two differ by less than 1e-4 hartree/bohr."""

    name = "pyscf"
    install = "pip install 'amp_tf[reference]'"
    gradient_level_of_theory = "DF-MP2 on DF-HF, gradients MP2 on HF without density fitting, all electrons correlated"

    def _import(self):
        try:
            import pyscf
            import pyscf.mp.dfmp2_native
            import pyscf.qmmm
        except ImportError as error:
            raise EngineError(f"PySCF is not installed; install it with: {self.install}") from error
        return pyscf

    def version(self) -> str:
        return self._import().__version__

    def energy(self, calculation: Calculation) -> float:
        pyscf = self._import()
        with pyscf.lib.with_omp_threads(self.n_threads), sentences("basis and charge"):
            reference = self._reference(calculation, density_fit=True)
            correlation = pyscf.mp.dfmp2_native.DFMP2(reference, auxbasis=f"{calculation.basis}-ri").kernel()
        correlation_energy = correlation[0] if isinstance(correlation, tuple) else correlation
        return float(reference.e_tot + correlation_energy) * units.HARTREE

    def energy_and_gradient(self, calculation: Calculation) -> tuple[float, np.ndarray]:
        pyscf = self._import()
        with pyscf.lib.with_omp_threads(self.n_threads), sentences("basis and charge"):
            correlated = pyscf.mp.MP2(self._reference(calculation, density_fit=False)).run()
            gradient = correlated.nuc_grad_method().kernel()
        return self.energy(calculation), gradient * units.HARTREE / units.BOHR

    def _reference(self, calculation: Calculation, density_fit: bool):
        """The converged Hartree-Fock state."""
        pyscf, positions = self._import(), calculation.positions_bohr
        molecule = pyscf.M(
            atom=[(int(number), tuple(point)) for number, point in zip(calculation.atomic_numbers, positions, strict=True)],
            unit="Bohr", basis=calculation.basis, charge=calculation.charge, verbose=0,
        )  # fmt: skip
        reference = pyscf.scf.RHF(molecule)
        if density_fit:
            reference = reference.density_fit(auxbasis=f"{calculation.basis}-jkfit")
        if calculation.mm_charges is not None and len(calculation.mm_charges):
            reference = pyscf.qmmm.mm_charge(reference, calculation.mm_positions_bohr, np.asarray(calculation.mm_charges), unit="Bohr")
        reference.conv_tol, reference.conv_tol_grad, reference.max_cycle = 1e-11, 1e-7, self.max_iterations
        reference.kernel()
        if not reference.converged:
            raise CalculationError("PySCF: the Hartree-Fock iterations did not converge; look at the geometry.")
        return reference
