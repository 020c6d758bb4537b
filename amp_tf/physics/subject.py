"""The calculator that is examined: energies and forces of molecules, each computed anew, counted and timed."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols

from amp_tf.errors import AmpTFError, InputError

MEV = 1e-3
"""eV."""


class PointLost(AmpTFError):
    """The calculator raised on a geometry, or gave no number."""


@dataclass(frozen=True)
class Molecule:
    """What a test looks at.

    Attributes:
        name: for tables.
        numbers: atomic numbers, [n_atoms].
        positions: [n_atoms, 3], angstrom.
        charge: e.
        spin: multiplicity.
        is_own: whether the user gave it.
    """

    name: str
    numbers: np.ndarray
    positions: np.ndarray
    charge: int = 0
    spin: int = 1
    is_own: bool = False

    def at(self, positions: np.ndarray, name: str | None = None) -> "Molecule":
        """With other positions."""
        return Molecule(name or self.name, self.numbers, np.asarray(positions, dtype=float), self.charge, self.spin, self.is_own)

    @property
    def elements(self) -> set[str]:
        """Symbols."""
        return {chemical_symbols[number] for number in self.numbers}


@dataclass
class Subject:
    """A calculator under examination.

    Attributes:
        calculator: of ASE, with energies and forces.
        name: for the report.
        domain: whether a molecule is one that the calculator is for, as a sentence against it, or None; None where nothing is known.
        embed: energy (eV), forces on atoms and on charges (eV/angstrom) of a molecule among charges; None where it cannot.
        own: the molecule that it is for, where it is for one alone.
        needs_charges: whether it is for that molecule among charges only.
        n_calls, seconds: so far.
    """

    calculator: Any
    name: str
    domain: Callable[[Molecule], str | None] | None = None
    embed: Callable[..., tuple[float, np.ndarray, np.ndarray]] | None = None
    own: Molecule | None = None
    needs_charges: bool = False
    n_calls: int = 0
    seconds: float = 0.0
    returned: set[str] = field(default_factory=set)

    def __post_init__(self):
        for method in ("get_potential_energy", "get_forces"):
            if not callable(getattr(self.calculator, method, None)):
                raise InputError(f"{self.name} gave a {type(self.calculator).__name__}, which has no {method}; give an ASE calculator.")
        known = getattr(self.calculator, "implemented_properties", None)
        if known is not None and not {"energy", "forces"} <= set(known):
            raise InputError(f"{self.name} computes {', '.join(known)}; energies and forces are needed.")

    def outside(self, molecule: Molecule) -> str | None:
        """What speaks against a molecule as one that the calculator is for, or None."""
        return None if self.domain is None else self.domain(molecule)

    def energy(self, molecule: Molecule) -> float:
        """eV."""
        return self.both(molecule, forces=False)[0]

    def forces(self, molecule: Molecule) -> np.ndarray:
        """[n_atoms, 3], eV/angstrom."""
        return self.both(molecule)[1]

    def both(self, molecule: Molecule, forces: bool = True) -> tuple[float, np.ndarray]:
        """Energy and forces; nothing of an earlier call is used.

        Raises:
            PointLost: where the calculator raised, or what it gave is no number.
        """
        atoms = atoms_of(molecule)
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if callable(reset := getattr(self.calculator, "reset", None)):
                    reset()
                atoms.calc = self.calculator
                raw_forces = np.asarray(atoms.get_forces()) if forces else np.zeros((len(atoms), 3))
                raw = atoms.get_potential_energy(force_consistent=self._has_free_energy())
                energy, force = float(raw), np.array(raw_forces, dtype=float)
            if force.shape != (len(atoms), 3):
                raise ValueError(f"forces of shape {force.shape}, not {(len(atoms), 3)}")
        except Exception as error:  # whatever it is that a calculator raises, the other geometries are still of interest
            raise PointLost(f"{molecule.name}: {type(error).__name__}: {_first_sentence(error)}") from error
        finally:
            self.seconds += time.perf_counter() - began
            self.n_calls += 1
        self.returned.add(str(getattr(raw, "dtype", type(raw).__name__)))
        if forces and raw_forces.dtype == np.float32:
            self.returned.add("float32 forces")
        if not (np.isfinite(energy) and np.all(np.isfinite(force))):
            raise PointLost(f"{molecule.name}: the energy or a force is no number.")
        return energy, force

    def _has_free_energy(self) -> bool:
        """Forces go with the free energy, where a calculator tells one."""
        return "free_energy" in (getattr(self.calculator, "implemented_properties", None) or ())

    def energy_after(self, first: Molecule, second: Molecule) -> float:
        """Of ``second``, right after ``first``, of which it differs in charge and spin alone, on one object and without a reset: as a
        calculator is used that keeps results, eV. Only what the calculator looks at is changed, ``info`` or the charges of the atoms."""
        after = {"charge": second.charge, "spin": second.spin}
        told_by_info = atoms_of(first)
        told_by_info.info |= after
        is_by_info = abs(self._of(told_by_info, anew=True) - self.energy(second)) < abs(self.energy(first) - self.energy(second))
        atoms = atoms_of(first)
        self._of(atoms)
        if is_by_info:
            atoms.info |= after
        else:
            set_charge_and_spin(atoms, second.charge, second.spin)
        return self._of(atoms)

    def _of(self, atoms: Atoms, anew: bool = False) -> float:
        """Energy, eV; ``anew``: nothing of an earlier call is used."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if anew and callable(reset := getattr(self.calculator, "reset", None)):
                reset()
            atoms.calc = self.calculator
            self.n_calls += 1
            return float(atoms.get_potential_energy(force_consistent=self._has_free_energy()))

    def as_calculator(self) -> "_Anew":
        """A calculator of ASE, for optimizers and dynamics, whose calls are counted."""
        return _Anew(self)

    def curve(self, molecules: list[Molecule], in_domain: bool = False) -> np.ndarray:
        """Energies, eV; NaN where a point was lost, and with ``in_domain`` where the calculator is not for it."""
        energies = []
        for molecule in molecules:
            is_outside = in_domain and self.outside(molecule) is not None
            try:
                energies.append(np.nan if is_outside else self.energy(molecule))
            except PointLost:
                energies.append(np.nan)
        return np.array(energies)


def atoms_of(molecule: Molecule) -> Atoms:
    """ASE's, with charge and multiplicity in all the places where calculators look for them."""
    atoms = Atoms(molecule.numbers, molecule.positions)
    set_charge_and_spin(atoms, molecule.charge, molecule.spin)
    return atoms


def set_charge_and_spin(atoms: Atoms, charge: int, spin: int) -> None:
    """In ``info``, and where they are not 0 and 1 as charges and moments of the atoms, of which calculators such as TBLite take the
    sum."""
    atoms.info |= {"charge": charge, "spin": spin}
    if charge or atoms.has("initial_charges"):
        atoms.set_initial_charges(np.full(len(atoms), charge / len(atoms)))
    if spin != 1 or atoms.has("initial_magmoms"):
        atoms.set_initial_magnetic_moments(np.full(len(atoms), (spin - 1) / len(atoms)))


class _Anew(Calculator):
    """What a subject computes."""

    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(self, subject: Subject):
        super().__init__()
        self._subject = subject

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Energy and forces together."""
        super().calculate(atoms, properties, system_changes)
        info = self.atoms.info
        molecule = Molecule("the molecule", self.atoms.numbers, self.atoms.positions, info.get("charge", 0), info.get("spin", 1))
        energy, forces = self._subject.both(molecule)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}


def _first_sentence(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
