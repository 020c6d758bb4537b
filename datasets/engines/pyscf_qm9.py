"""The level of theory of QM9 with PySCF (https://pyscf.org): B3LYP/6-31G(2df,p) as Gaussian computes it, and all its properties.

Three things differ between programs and are fixed here. B3LYP has the functional VWN3 for local correlation. The polarization functions of
6-31G(2df,p) are those made for 6-31G: d with half and twice the exponent 0.8, p with 1.1 on hydrogen (Hariharan and Pople 1973) and f of
Frisch, Pople and Binkley (1984). And d shells have six Cartesian functions while f shells have the seven pure ones, which PySCF does not
mix: the orbitals are Cartesian and kept in the space of pure f. Electronic energies then agree with those of the archive to 0.002 kcal/mol.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols
from ase.optimize import BFGS

from amp_tf import units
from amp_tf.errors import EngineError
from datasets.engines.base import CalculationError
from datasets.rotations import straightened, symmetry_number

LEVEL_OF_THEORY = "B3LYP/6-31G(2df,p)"
FUNCTIONAL = "b3lypg"
F_EXPONENTS = {"C": 0.8, "N": 1.0, "O": 1.4, "F": 1.85}
ELEMENTS = ("H", *F_EXPONENTS)

TEMPERATURE, PRESSURE = 298.15, 101_325.0
"""K and Pa, of U, H, G and Cv."""

LARGEST_FORCE = 0.003
"""On an atom of an optimized geometry, eV/angstrom."""

MOST_STEPS = 200

ROUGH_BASIS, ROUGH_FORCE = "6-31g*", 0.02
"""Of the optimization before, with density fitting, and where it ends, eV/angstrom."""

SOFTEST = 1.0
"""Curvatures of its Hessian are taken to be at least this, eV/angstrom^2. Ethanol takes 3 steps from there with it, 18 without."""

EV = units.HARTREE / units.EV
"""Of a hartree."""

SMALLEST_WAVENUMBER = 20.0
"""A minimum has no vibration below this, 1/cm."""


@dataclass(frozen=True)
class Properties:
    """What QM9 states of a molecule, in its units: hartree, bohr, debye, cal/mol/K, and the geometry, angstrom.

    Attributes:
        symmetry_number: in the entropy of rotation, and so in G.
    """

    positions: np.ndarray
    charges: np.ndarray
    values: dict[str, float]
    symmetry_number: int


def record() -> dict[str, str | float]:
    """What the properties depend on but the molecule."""
    return {
        "engine": "pyscf", "engine_version": _import().__version__, "level_of_theory": LEVEL_OF_THEORY,
        "largest_force": LARGEST_FORCE, "temperature": TEMPERATURE, "pressure": PRESSURE,
    }  # fmt: skip


def properties(numbers: np.ndarray, positions: np.ndarray) -> Properties:
    """Optimize a neutral closed-shell molecule, and compute all twelve properties at its minimum. Linear ones are put exactly on a line.

    Args:
        numbers: atomic numbers [n_atoms].
        positions: [n_atoms, 3], angstrom.

    Raises:
        CalculationError: if a self-consistent field, a response or the optimization does not converge, or ends at no minimum.
        EngineError: if PySCF is not installed.
    """
    pyscf = _import()
    if strangers := sorted({chemical_symbols[number] for number in numbers} - set(ELEMENTS)):
        raise CalculationError(f"{LEVEL_OF_THEORY} is known for {', '.join(ELEMENTS)}, not {', '.join(strangers)}.")
    positions = straightened(_optimized(numbers, positions))
    state = _converged(numbers, positions)
    symmetry = symmetry_number(numbers, positions) if len(numbers) > 1 else 1
    molecule = state.mol
    n_occupied = molecule.nelectron // 2
    homo, lumo = state.mo_energy[n_occupied - 1 : n_occupied + 1]
    center = np.array(numbers) @ positions / np.sum(numbers) / units.BOHR
    with molecule.with_common_orig(center):
        extent = np.einsum("ij,ji", molecule.intor("int1e_r2"), state.make_rdm1())
    values = {
        "mu": float(np.linalg.norm(state.dip_moment(verbose=0))),
        "alpha": float(np.trace(_polarizability(state)) / 3.0),
        "homo": float(homo),
        "lumo": float(lumo),
        "gap": float(lumo - homo),
        "r2": float(extent),
        **_thermochemistry(pyscf, state, symmetry),
    }
    return Properties(positions, state.mulliken_pop(verbose=0)[1], values, symmetry)


def _import():
    try:
        import pyscf
        import pyscf.dft
        import pyscf.hessian.rks
        import pyscf.hessian.thermo
    except ImportError as error:
        raise EngineError("PySCF is not installed; install it with: pip install 'amp_tf[reference]'") from error
    return pyscf


@contextmanager
def _convergence_of(what: str) -> Iterator[None]:
    """PySCF's solvers raise RuntimeError where they do not converge."""
    try:
        yield
    except (RuntimeError, np.linalg.LinAlgError) as error:
        if isinstance(error, CalculationError):
            raise
        raise CalculationError(f"PySCF: {what} did not converge ({' '.join(str(error).split())}).") from error


def basis_set(symbol: str) -> list:
    """6-31G(2df,p) of an element, in PySCF's form: [angular momentum, [exponent, coefficient], ...] each."""
    shells = _import().gto.basis.load("6-31g", symbol)
    if symbol == "H":
        return [*shells, [1, [1.1, 1.0]]]
    return [*shells, [2, [1.6, 1.0]], [2, [0.4, 1.0]], [3, [F_EXPONENTS[symbol], 1.0]]]


def _molecule(numbers: np.ndarray, positions: np.ndarray):
    pyscf = _import()
    symbols = [chemical_symbols[number] for number in numbers]
    places = np.asarray(positions) / units.BOHR
    atoms = [(symbol, tuple(place)) for symbol, place in zip(symbols, places, strict=True)]
    return pyscf.M(atom=atoms, unit="Bohr", basis={symbol: basis_set(symbol) for symbol in set(symbols)}, cart=True, verbose=0)


def _pure_f(molecule) -> np.ndarray:
    """[n_cartesian, n_kept]: the functions that span the basis, Cartesian up to d and pure from f on."""
    from pyscf import gto

    blocks = []
    for shell in range(molecule.nbas):
        order = molecule.bas_angular(shell)
        block = np.eye((order + 1) * (order + 2) // 2) if order < 3 else gto.cart2sph(order, normalized="sp")
        blocks += [block] * molecule.bas_nctr(shell)
    return scipy.linalg.block_diag(*blocks)


def _converged(numbers: np.ndarray, positions: np.ndarray, start: np.ndarray | None = None):
    """The self-consistent field, from a density matrix where one is given."""
    pyscf = _import()
    from pyscf.scf.diis import CDIIS

    molecule = _molecule(numbers, positions)
    kept = _pure_f(molecule)
    state = pyscf.dft.RKS(molecule, xc=FUNCTIONAL)

    def within_kept(fock, overlap, *_):
        energies, coefficients = scipy.linalg.eigh(kept.T @ fock @ kept, kept.T @ overlap @ kept)
        return energies, kept @ coefficients

    state._eigh = within_kept
    sizes, directions = np.linalg.eigh(kept.T @ molecule.intor("int1e_ovlp") @ kept)
    state.diis = CDIIS(state, Corth=kept @ directions / np.sqrt(sizes))  # errors outside of the kept space do not vanish
    state.conv_tol, state.conv_tol_grad = 1e-10, 1e-5
    state.kernel(dm0=start)
    if not state.converged:
        raise CalculationError(f"PySCF: {LEVEL_OF_THEORY} did not converge; look at the geometry.")
    return state


class _Calculator(Calculator):
    """For the optimization by ASE."""

    implemented_properties = ("energy", "forces")
    state = None

    def calculate(self, atoms=None, properties=("energy", "forces"), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.state = self.converged(None if self.state is None else self.state.make_rdm1())
        gradients = self.state.nuc_grad_method()
        gradients.grid_response = True
        self.results = {"energy": self.state.e_tot * EV, "forces": -gradients.kernel() * EV / units.BOHR}

    def converged(self, start: np.ndarray | None):
        """The self-consistent field of the atoms, from a density matrix."""
        return _converged(self.atoms.numbers, self.atoms.positions, start=start)


class _RoughCalculator(_Calculator):
    """The same functional, a smaller basis, density fitting and a coarse grid."""

    def converged(self, start: np.ndarray | None):
        pyscf = _import()
        places = list(zip(self.atoms.symbols, self.atoms.positions / units.BOHR, strict=True))
        molecule = pyscf.M(atom=places, unit="Bohr", basis=ROUGH_BASIS, verbose=0)
        state = pyscf.dft.RKS(molecule, xc=FUNCTIONAL).density_fit()
        state.grids.level = 1
        state.kernel(dm0=start)
        if not state.converged:
            raise CalculationError(f"PySCF: {FUNCTIONAL}/{ROUGH_BASIS} did not converge.")
        return state

    def hessian(self) -> np.ndarray:
        """Of the last geometry, [3 * n_atoms, 3 * n_atoms], eV/angstrom^2."""
        with _convergence_of("the rough Hessian"):
            blocks = self.state.Hessian().kernel()
        return blocks.transpose(0, 2, 1, 3).reshape(3 * len(blocks), -1) * EV / units.BOHR**2


def _optimized(numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
    if len(numbers) == 1:
        return np.asarray(positions, dtype=float)
    atoms, hessian = _roughly_optimized(numbers, positions)
    atoms.calc = _Calculator()
    optimizer = BFGS(atoms, logfile=None)
    if hessian is not None:
        curvatures, directions = np.linalg.eigh(hessian)
        optimizer.H0 = directions * np.maximum(np.abs(curvatures), SOFTEST) @ directions.T
    if not optimizer.run(fmax=LARGEST_FORCE, steps=MOST_STEPS):
        raise CalculationError(f"the optimization did not converge in {MOST_STEPS} steps; look at the geometry.")
    return atoms.positions


def _roughly_optimized(numbers: np.ndarray, positions: np.ndarray) -> tuple[Atoms, np.ndarray | None]:
    """Atoms at the rough minimum, and the Hessian there; where that cannot be had, at the geometry that was given, without one."""
    atoms = Atoms(numbers, positions)
    atoms.calc = _RoughCalculator()
    try:
        if BFGS(atoms, logfile=None).run(fmax=ROUGH_FORCE, steps=MOST_STEPS):
            return atoms, atoms.calc.hessian()
    except CalculationError:
        pass
    return Atoms(numbers, positions), None


def _polarizability(state) -> np.ndarray:
    """The response of the dipole moment to a homogeneous field, by the coupled-perturbed Kohn-Sham equations, [3, 3], bohr^3."""
    from pyscf.scf import cphf

    is_occupied = state.mo_occ > 0
    occupied, empty = state.mo_coeff[:, is_occupied], state.mo_coeff[:, ~is_occupied]
    moments = np.einsum("pa,xpq,qi->xai", empty, state.mol.intor("int1e_r"), occupied)
    response = state.gen_response(hermi=1)

    def induced(rotations: np.ndarray) -> np.ndarray:
        densities = np.einsum("pa,xai,qi->xpq", empty, rotations.reshape(-1, *moments.shape[1:]), occupied)
        potentials = response(2.0 * (densities + densities.transpose(0, 2, 1)))
        return np.einsum("pa,xpq,qi->xai", empty, potentials, occupied).reshape(rotations.shape)

    with _convergence_of("the response to a field"):
        rotations = cphf.solve(induced, state.mo_energy, state.mo_occ, moments, max_cycle=50, tol=1e-8)[0]
    return -4.0 * np.einsum("xai,yai->xy", moments, rotations.reshape(moments.shape))


def _thermochemistry(pyscf, state, symmetry: int) -> dict[str, float]:
    """From the harmonic vibrations, of an ideal gas of rigid rotors.

    PySCF's own symmetry number is that of the group which it finds to 1e-5 bohr, a matter of chance after an optimization.
    """
    if state.mol.natm == 1:
        raise CalculationError("an atom has no vibrations; give a molecule.")
    with _convergence_of("the Hessian"):
        hessian = state.Hessian().kernel()
    vibrations = pyscf.hessian.thermo.harmonic_analysis(state.mol, hessian)
    wavenumbers = vibrations["freq_wavenumber"]
    if np.any(np.imag(wavenumbers)) or np.min(np.real(wavenumbers)) < SMALLEST_WAVENUMBER:
        lowest = min(wavenumbers, key=lambda value: np.real(value) - np.imag(value))
        raise CalculationError(f"the optimized geometry is no minimum (a vibration of {lowest:.1f}/cm); start from another.")
    found = pyscf.hessian.thermo.thermo(state, vibrations["freq_au"], TEMPERATURE, PRESSURE)
    heat = found["Cv_tot"][0] * units.HARTREE / units.KCAL_PER_MOL * 1000.0
    names = {"zpve": "ZPE", "u0": "E_0K", "u": "E_tot", "h": "H_tot", "g": "G_tot"}
    values = {ours: float(found[name][0]) for ours, name in names.items()} | {"cv": float(heat)}
    values["g"] += units.GAS_CONSTANT * TEMPERATURE / units.HARTREE * np.log(symmetry / found["sym_number"][0])
    return values
