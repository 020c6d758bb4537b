"""DF-MP2 with PySCF (https://pyscf.org), as a Python library in this process."""

from amp_tf import units
from amp_tf.errors import EngineError
from datasets.engines.base import Calculation, Engine


class PySCFEngine(Engine):
    """PySCF: ``scf.RHF.density_fit`` and ``mp.dfmp2_native.DFMP2``."""

    name = "pyscf"
    install = "pip install 'amp_tf[reference]'"

    def _import(self):
        try:
            import pyscf
            import pyscf.mp.dfmp2_native
        except ImportError as error:
            raise EngineError(f"PySCF is not installed; install it with: {self.install}") from error
        return pyscf

    def version(self) -> str:
        return self._import().__version__

    def energy(self, calculation: Calculation) -> float:
        pyscf = self._import()
        positions = calculation.positions_bohr
        with pyscf.lib.with_omp_threads(self.n_threads):
            molecule = pyscf.M(
                atom=[(int(number), tuple(point)) for number, point in zip(calculation.atomic_numbers, positions, strict=True)],
                unit="Bohr", basis=calculation.basis, charge=calculation.charge, verbose=0,
            )  # fmt: skip
            reference = pyscf.scf.RHF(molecule).density_fit(auxbasis=f"{calculation.basis}-jkfit")
            reference.conv_tol, reference.conv_tol_grad = 1e-11, 1e-7
            reference.kernel()
            if not reference.converged:
                raise EngineError("PySCF: the Hartree-Fock iterations did not converge; look at the geometry.")
            correlation = pyscf.mp.dfmp2_native.DFMP2(reference, auxbasis=f"{calculation.basis}-ri").kernel()
        correlation_energy = correlation[0] if isinstance(correlation, tuple) else correlation
        return float(reference.e_tot + correlation_energy) * units.HARTREE
