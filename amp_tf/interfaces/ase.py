"""An ASE calculator for potentials: energies, forces and, in the field of point charges, forces on these. In eV and angstrom."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes, all_outputs, compare_atoms
from ase.outputs import Properties

from amp_tf import units
from amp_tf.errors import InputError
from amp_tf.interfaces.zone import WHOLE_CHARGE, Zone, check_embeds, check_margin, check_ranges, compute_embedded, warn_of_jumps
from amp_tf.models import Potential, load_potential
from amp_tf.models.ensemble import members_of
from amp_tf.systems import System
from amp_tf.targets import require_energy


class AMPCalculator(Calculator):
    """Energy, forces, charges and dipole of an isolated molecule, or of one embedded in point charges.

    A list of potentials, or an :class:`amp_tf.Ensemble`, is a committee: energy and forces are the means, ``results["energy_std"]`` and
    ``["forces_std"]`` the standard deviations over its members (of each component of the forces).

    The total charge is that of ``atoms.info["charge"]``, otherwise ``charge``; under EIQMMM, whose QM atoms are copies, give ``charge``.

    Args:
        potentials: a trained potential, or the path or name (:func:`amp_tf.load_potential`) of one, or a sequence of these.
        dtype: ``"float32"`` or ``"float64"``, in which the potentials compute; None: their own.
        charge: total charge, e, of atoms that do not tell their own.
        xla: compile, which takes seconds and is then faster: for dynamics.
        zone: the molecules around the QM atoms that the potential sees in :meth:`embed`.
        margin: how far beyond the distances of its training data a potential may be asked, angstrom, before an error stops dynamics; None:
            a warning, once.

    Raises:
        DataFileError: for a path that is no potential.
        InputError: without potentials, or for another ``dtype``.
    """

    implemented_properties = ("energy", "free_energy", "forces", "charges", "dipole")

    def __init__(
        self,
        potentials: Potential | Path | str | Sequence[Potential | Path | str],
        dtype: str | None = None,
        charge: float = 0.0,
        xla: bool = False,
        zone: Zone | None = None,
        margin: float | None = None,
    ):
        super().__init__()
        members = [potentials] if isinstance(potentials, Potential | Path | str) else list(potentials)
        if not members:
            raise InputError("AMPCalculator needs at least one potential.")
        self.members = [one for member in members for one in members_of(_in_precision(member, dtype))]
        if margin is not None:
            check_margin(margin)
        self.charge, self.xla, self.zone, self.margin = float(charge), xla, zone or Zone(), margin
        self.point_charges: PointCharges | None = None
        self._computed_charge: float | None = None

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation; also the total charge and the MM particles, which ``atoms`` does not compare."""
        changes = compare_atoms(self.atoms, atoms, tol=tol, excluded_properties={"initial_charges", "initial_magmoms"})
        if self._computed_charge != self.total_charge(atoms):
            changes.append("charge")
        if self.point_charges is not None and self.point_charges.changed:
            changes.append("point_charges")
        return changes

    def total_charge(self, atoms: Atoms) -> float:
        """Of the QM atoms, e."""
        return float(atoms.info.get("charge", self.charge))

    def calculate(self, atoms: Atoms | None = None, properties: Sequence[str] = ("energy",), system_changes: Sequence[str] = all_changes):
        """Fill ``results``; ``properties`` are computed together.

        Raises:
            InputError: for atoms that the potential does not know, or periodic ones.
            SimulationError: beyond ``margin`` of the training data.
        """
        super().calculate(atoms, properties, system_changes)
        if self.point_charges is not None:
            self.results = self.point_charges.calculate(self, self.atoms)
        elif np.any(self.atoms.pbc):
            raise InputError("the potential knows no periodic images; set atoms.pbc = False.")
        else:
            charge = self.total_charge(self.atoms)
            if self.margin is not None:
                check_ranges(self.members, System(self.atoms.numbers, self.atoms.positions, charge), self.margin)
            of_members = [
                member.compute(self.atoms.numbers, self.atoms.positions, total_charge=charge, xla=self.xla) for member in self.members
            ]
            self.results = in_ev(of_members)
        self._computed_charge = self.total_charge(self.atoms)

    def calculate_embedded(self, atoms: Atoms, mm_positions, mm_charges, molecules, cell=None) -> dict[str, Any]:
        """The molecule in the field of MM molecules within the zone.

        Args:
            atoms: the QM atoms, whole.
            mm_positions: of all MM particles, molecules whole, [n_mm, 3], angstrom.
            mm_charges: [n_mm], e.
            molecules: the number of the molecule of each particle, [n_mm].
            cell: vectors of a periodic box as rows, angstrom; None without images.

        Returns:
            ``results``, and ``mm_forces`` [n_mm, 3], eV/angstrom.
        """
        mm_positions, mm_charges = np.asarray(mm_positions, dtype=float), np.asarray(mm_charges, dtype=float)
        charge = self.total_charge(atoms)
        for member in self.members:
            member.check_charges([System(atoms.numbers, atoms.positions, charge)])
        around = self.zone.surroundings(atoms.positions, mm_positions, mm_charges, molecules, cell)
        system = System(atoms.numbers, atoms.positions, charge, around.positions, around.charges)
        return in_ev(compute_embedded(self.members, system, around, len(mm_charges), self.xla, self.margin))

    def export_properties(self) -> Properties:
        """Those of the results that ASE knows; it refuses others, such as the deviations of a committee."""
        return Properties({name: value for name, value in self.results.items() if name in all_outputs})

    def embed(self, charges, sites_per_molecule: int = 3, cell=None) -> "PointCharges":
        """What :class:`ase.calculators.qmmm.EIQMMM` asks for: an object that it tells the positions of the MM sites, and asks for forces.

        From then on the calculator is that of the embedded molecule; take another one for the molecule alone.

        Args:
            charges: of all MM sites, e.
            sites_per_molecule: sites of one molecule stand together; ``Embedding(sites_per_molecule=4)`` passes another number on.
            cell: vectors of a periodic box as rows, angstrom, ``Embedding(cell=atoms.cell)``: a box in which a molecule could be in the
                zone with two images is then refused, as its energy would jump where EIQMMM takes another image.
        """
        for member in self.members:
            check_embeds(member, name := f"this {type(member).__name__}")
            warn_of_jumps(member, name)
            ranges = None if self.margin is None else member.training_ranges  # without a margin each calculation warns
            if ranges is not None and (complaint := ranges.charge_complaint(np.asarray(charges, dtype=float))):
                warnings.warn(f"{name}: {complaint}.", stacklevel=2)
        self.point_charges = PointCharges(np.asarray(charges, dtype=float), sites_per_molecule, cell)
        return self.point_charges


def _in_precision(potential: Potential | Path | str, dtype: str | None) -> Potential:
    if not isinstance(potential, Potential):
        potential = load_potential(potential, dtype)
    require_energy(potential, "a calculator")
    return potential if dtype in (None, potential.compute_dtype) else potential.copy_for_inference(dtype)


class PointCharges:
    """The MM sites around the atoms of an :class:`AMPCalculator`, as :class:`ase.calculators.qmmm.EIQMMM` handles them.

    Args:
        charges: of the sites, e.
        sites_per_molecule: sites of one molecule stand together.
        cell: vectors of a periodic box as rows, angstrom; None: not checked against the zone.

    Raises:
        InputError: if the sites are no whole number of molecules, or these are not neutral.
    """

    def __init__(self, charges: np.ndarray, sites_per_molecule: int, cell=None):
        self.cell = None if cell is None else np.array(cell, dtype=float)
        if len(charges) % sites_per_molecule:
            raise InputError(f"{len(charges)} MM sites are no whole number of molecules of {sites_per_molecule}; give sites_per_molecule.")
        if np.any(np.abs(charges.reshape(-1, sites_per_molecule).sum(axis=1)) > WHOLE_CHARGE):
            raise InputError(f"MM molecules of {sites_per_molecule} sites are not neutral; give sites_per_molecule of your water model.")
        self.charges, self.molecules = charges, np.arange(len(charges)) // sites_per_molecule
        self.positions, self.forces, self.changed = np.zeros((len(charges), 3)), np.zeros((len(charges), 3)), True

    def set_positions(self, positions: np.ndarray, com_pv: np.ndarray | None = None) -> None:
        """Positions of the sites, angstrom, at their nearest image; ``com_pv`` is not needed."""
        if not np.array_equal(positions, self.positions):
            self.positions, self.changed = np.array(positions), True

    def calculate(self, calculator: AMPCalculator, atoms: Atoms) -> dict[str, Any]:
        """The calculator's results in the field of the sites."""
        if self.cell is not None:
            calculator.zone.check_box(self.cell, atoms.positions)
        results = calculator.calculate_embedded(atoms, self.positions, self.charges, self.molecules)
        self.forces, self.changed = results.pop("mm_forces"), False
        return results

    def get_forces(self, calculator: AMPCalculator) -> np.ndarray:
        """On the sites, [n, 3], eV/angstrom."""
        calculator.get_forces(calculator.atoms)
        return self.forces


def in_ev(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """ASE's results from those of the members of a committee, kJ/mol and kJ/mol/angstrom."""
    energies = np.array([result["energy"] for result in results]) / units.EV
    forces = -np.array([result["qm_gradients"] for result in results]) / units.EV
    found: dict[str, Any] = {"energy": float(energies.mean()), "free_energy": float(energies.mean()), "forces": forces.mean(axis=0)}
    if "mm_gradients" in results[0]:
        found["mm_forces"] = -np.mean([result["mm_gradients"] for result in results], axis=0) / units.EV
    for name in ("charges", "dipole"):
        if all(name in result for result in results):
            found[name] = np.mean([result[name] for result in results], axis=0)
    if len(results) > 1:
        found |= {"energy_std": float(energies.std()), "forces_std": forces.std(axis=0)}
    return found
