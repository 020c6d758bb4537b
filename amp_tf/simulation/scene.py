"""What is simulated: a solute in water or alone, or some residues of a system that the user has prepared for OpenMM."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from amp_tf.errors import InputError
from amp_tf.interfaces.zone import WHOLE_CHARGE
from amp_tf.models import load_potential
from amp_tf.neighbours import whole_at_first
from amp_tf.simulation import water_box
from amp_tf.simulation.observables import bonded_pairs
from amp_tf.simulation.solutes import Solute, check_shell
from amp_tf.simulation.water_box import NM, import_openmm

WATER_NAMES = ("HOH", "WAT", "SOL", "TIP3", "TP3", "TIP4", "TP4", "SPC", "OPC")
ION_NAMES = (
    "NA", "Na+", "NA+", "SOD", "CL", "Cl-", "CL-", "CLA", "K", "K+", "POT", "MG", "MG2", "CA", "ZN", "LI", "RB", "CS", "BR", "F", "IOD",
)  # fmt: skip
"""Names of residues in the files of AMBER, CHARMM, GROMACS and OpenMM."""

STEPS_DOWNHILL = 100
"""Iterations of the minimization of what stands around the solute of a prepared system."""


@dataclass(frozen=True)
class Scene:
    """All particles, and which of them a potential describes.

    Attributes:
        topology: OpenMM's.
        system: OpenMM's, of a force field for all particles.
        solute: what the potential describes, at its start.
        atoms: numbers of its atoms.
        waters: numbers of oxygen, hydrogen, hydrogen of each water molecule, [n_waters, 3].
    """

    topology: Any
    system: Any
    solute: Solute
    atoms: np.ndarray
    waters: np.ndarray

    @property
    def masses(self) -> np.ndarray:
        """[n], dalton; 0 for virtual sites."""
        return np.array([self.system.getParticleMass(number)._value for number in range(self.system.getNumParticles())])

    @property
    def n_constraints(self) -> int:
        """Constraints of all particles but those of the solute, which has none."""
        ends = [self.system.getConstraintParameters(number)[:2] for number in range(self.system.getNumConstraints())]
        return int(np.sum(~np.isin(ends, self.atoms).all(axis=1))) if ends else 0


class Setup(Protocol):
    """How a scene comes to be: its first positions and box, which a run keeps, and the scene for them."""

    solute: Solute

    @property
    def is_periodic(self) -> bool:
        """Whether there are images."""

    @property
    def is_alone(self) -> bool:
        """Whether nothing stands around the solute."""

    def record(self) -> dict[str, Any]:
        """What decides the scene, as JSON values."""

    def start(self, potential: Path, dynamics: Any, seeds: tuple[int, int, int], n_threads: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Positions [n, 3] and vectors of the box [3, 3], zero without images, angstrom."""

    def scene(self, positions: np.ndarray, box: np.ndarray) -> Scene:
        """The scene that starts there."""


@dataclass(frozen=True)
class SoluteInWater:
    """A solute in a cube of SPC/E water, or alone (:mod:`amp_tf.simulation.water_box`); water stands first.

    Attributes:
        solute: the molecule.
        gas: without water.
    """

    solute: Solute
    gas: bool = False

    @property
    def is_periodic(self) -> bool:
        """Water has images, a molecule alone none."""
        return not self.gas

    @property
    def is_alone(self) -> bool:
        """In gas."""
        return self.gas

    def record(self) -> dict[str, Any]:
        """What decides the scene, as JSON values."""
        return {
            "name": self.solute.name, "charge": self.solute.charge, "atomic_numbers": self.solute.atomic_numbers.tolist(),
            "positions_angstrom": np.round(self.solute.positions, 3).tolist(), "gas": self.gas,
        }  # fmt: skip

    def start(self, potential: Path, dynamics, seeds: tuple[int, int, int], n_threads: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Water is equilibrated around the frozen solute, whose charges are those of the potential for the solute alone.

        Raises:
            InputError: if the potential predicts no charges.
        """
        solute = self.solute
        if self.gas:
            return solute.positions, np.zeros((3, 3))
        result = load_potential(potential).compute(solute.atomic_numbers, solute.positions, total_charge=float(solute.charge))
        if "charges" not in result:
            raise InputError(f"{potential} predicts no charges for water to stand around; use a potential with -P, or --gas.")
        length = water_box.box_length(solute, dynamics.zone)
        positions, edge = water_box.equilibrated(
            solute, result["charges"], length, dynamics.equilibration, dynamics.temperature, dynamics.friction, seeds, n_threads
        )
        return positions, edge * np.eye(3)

    def scene(self, positions: np.ndarray, box: np.ndarray) -> Scene:
        """The scene that starts there."""
        openmm = import_openmm()
        n_water_atoms = len(positions) - len(self.solute.positions)
        topology = openmm.app.Topology() if self.gas else water_box.water_topology(n_water_atoms // 3, float(box[0, 0]))
        system = water_box.force_field_system(topology, self.solute, np.zeros(len(self.solute.positions)), frozen=False)
        water_box.add_solute(topology, self.solute)
        if not self.gas:
            nonbonded = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
            nonbonded.setEwaldErrorTolerance(1e-5)
            nonbonded.setUseSwitchingFunction(True)
            nonbonded.setSwitchingDistance(0.9)
        molecule = openmm.HarmonicBondForce()
        for first, second in bonded_pairs(self.solute):
            molecule.addBond(n_water_atoms + int(first), n_water_atoms + int(second), 0.1, 0.0)
        system.addForce(molecule)
        waters = np.arange(n_water_atoms).reshape(-1, 3)
        return Scene(topology, system, self.solute, np.arange(n_water_atoms, len(positions)), waters)


class PreparedSystem:
    """Residues of a system that the user has prepared: its structure, and a force field for all of it.

    Args:
        structure: ``*.pdb`` or ``*.cif``, with its box.
        system: OpenMM's System as XML; otherwise it is made of ``force_fields``: PME, bonds to hydrogen constrained, rigid water.
        force_fields: files of OpenMM's force fields, such as ``amber14-all.xml`` and ``amber14/tip3p.xml``.
        residues: that the potential describes, by name, or by number as in the file, ``CHAIN:NUMBER`` where chains share it; None: all but
            water and ions.
        charge: of these, e; None: what the force field says.

    Raises:
        InputError: for files that cannot be read or do not belong together, and residues that are not there.
    """

    def __init__(
        self, structure: Path, system: Path | None = None, force_fields: Sequence[str] = (), residues: Sequence[str] | None = None,
        charge: int | None = None,
    ):  # fmt: skip
        openmm = import_openmm()
        if (system is None) == (not force_fields):
            raise InputError(f"{structure} needs a force field: give --system (XML) or --force-field, one of the two.")
        self._files = [structure, *([system] if system else [])]
        try:
            read = openmm.app.PDBxFile if structure.suffix == ".cif" else openmm.app.PDBFile
            file = read(str(structure))
            self._topology = file.topology
            self._positions = np.array(file.getPositions(asNumpy=True)._value) * NM
            self._system = (
                openmm.XmlSerializer.deserialize(system.read_text()) if system else _made(openmm, self._topology, tuple(force_fields))
            )
        except Exception as error:  # OpenMM's readers raise their own
            names = ", ".join(map(str, self._files))
            raise InputError(f"{names}: no system can be made of it ({' '.join(str(error).split())[:300]}).") from error
        n_particles, n_positions = self._system.getNumParticles(), len(self._positions)
        if n_particles != n_positions:
            raise InputError(f"{system} has {n_particles} particles, but {structure} {n_positions}; give two that belong together.")
        _remove_couplings(openmm, self._system)
        chosen = _chosen(self._topology, residues)
        particles = [atom.index for residue in chosen for atom in residue.atoms()]
        self._n_particles = len(particles)
        self._atoms = np.array([atom.index for residue in chosen for atom in residue.atoms() if atom.element is not None])
        elements = [atom.element for atom in self._topology.atoms()]
        numbers = np.array([elements[atom].atomic_number for atom in self._atoms])
        self._force_fields, self._residues = list(force_fields), [f"{residue.name} {residue.id}" for residue in chosen]
        nonbonded = next((force for force in self._system.getForces() if isinstance(force, openmm.NonbondedForce)), None)
        if nonbonded is None:
            raise InputError(f"{system or structure}: the system has no NonbondedForce, whose charges could embed.")
        stated = sum(nonbonded.getParticleParameters(int(atom))[0]._value for atom in particles)
        if charge is None and abs(stated - round(stated)) > WHOLE_CHARGE:
            raise InputError(f"the charges of {', '.join(self._residues)} sum to {stated:.3f} e, no whole number; give --charge.")
        self._box = self._find_box()
        positions = whole_at_first(self._positions[self._atoms], self._box if self.is_periodic else None)
        self.solute = Solute(structure.stem, numbers, positions, round(stated) if charge is None else charge)
        check_shell(", ".join(self._residues), numbers, self.solute.charge)

    @property
    def is_periodic(self) -> bool:
        """As the force field."""
        return bool(np.any(self._box))

    @property
    def is_alone(self) -> bool:
        """Whether the residues are all that there is."""
        return self._n_particles == self._system.getNumParticles()

    def _find_box(self) -> np.ndarray:
        """The vectors of the structure's box, which a simulation may have changed, or else the system's; [3, 3], angstrom, zero without
        images."""
        if not self._system.usesPeriodicBoundaryConditions():
            self._topology.setPeriodicBoxVectors(None)
            return np.zeros((3, 3))
        of_structure = self._topology.getPeriodicBoxVectors()
        vectors = of_structure or self._system.getDefaultPeriodicBoxVectors()
        self._topology.setPeriodicBoxVectors(vectors)
        self._system.setDefaultPeriodicBoxVectors(*vectors)
        return np.array([vector._value for vector in vectors]) * NM

    def record(self) -> dict[str, Any]:
        """What decides the scene, as JSON values."""
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self._files]
        return {"files_sha256": digests, "force_fields": self._force_fields, "residues": self._residues, "charge": self.solute.charge}

    def start(self, potential: Path, dynamics, seeds: tuple[int, int, int], n_threads: int | None) -> tuple[np.ndarray, np.ndarray]:
        """As the structure has them, all but the solute moved downhill by the force field, for water that was only just filled in; the rest
        of the equilibration is for the user to do."""
        openmm = import_openmm()
        frozen, atoms = openmm.XmlSerializer.clone(self._system), set(self._atoms.tolist())
        for number in reversed(range(frozen.getNumConstraints())):
            if set(frozen.getConstraintParameters(number)[:2]) <= atoms:
                frozen.removeConstraint(number)
        for atom in atoms:
            frozen.setParticleMass(atom, 0.0)
        simulation = water_box.on_cpu(
            frozen, openmm.VerletIntegrator(0.001), self._positions, self._box if self.is_periodic else None, n_threads
        )
        openmm.LocalEnergyMinimizer.minimize(simulation.context, maxIterations=STEPS_DOWNHILL)
        return simulation.positions(), self._box

    def scene(self, positions: np.ndarray, box: np.ndarray) -> Scene:
        """The scene that starts there."""
        return Scene(self._topology, self._system, self.solute, self._atoms, self._waters())

    def _waters(self) -> np.ndarray:
        found = []
        for residue in self._topology.residues():
            atoms = {symbol: [atom.index for atom in residue.atoms() if atom.element and atom.element.symbol == symbol] for symbol in "OH"}
            if residue.name in WATER_NAMES and (len(atoms["O"]), len(atoms["H"])) == (1, 2):
                found.append(atoms["O"] + atoms["H"])
        numbers = np.array(found, dtype=int).reshape(-1, 3)
        return numbers[~np.isin(numbers, self._atoms).any(axis=1)]


def _made(openmm, topology, force_fields: tuple[str, ...]):
    app = openmm.app
    is_periodic = topology.getPeriodicBoxVectors() is not None
    method = {"nonbondedMethod": app.PME, "nonbondedCutoff": 1.0, "ewaldErrorTolerance": 1e-5} if is_periodic else {}
    return app.ForceField(*force_fields).createSystem(topology, constraints=app.HBonds, rigidWater=True, **method)


def _remove_couplings(openmm, system) -> None:
    """Take thermostats and barostats out of a system: those of the run's ensemble take their place."""
    kinds = (
        openmm.AndersenThermostat, openmm.MonteCarloBarostat, openmm.MonteCarloAnisotropicBarostat, openmm.MonteCarloFlexibleBarostat,
        openmm.MonteCarloMembraneBarostat,
    )  # fmt: skip
    for number in reversed(range(system.getNumForces())):
        if isinstance(system.getForce(number), kinds):
            system.removeForce(number)


def _chosen(topology, residues: Sequence[str] | None) -> list[Any]:
    """Residues by name or number.

    Raises:
        InputError: if one is not there or is not the only one, or none is left.
    """
    present = list(topology.residues())
    if residues is None:
        chosen = [residue for residue in present if residue.name not in (*WATER_NAMES, *ION_NAMES)]
        if not chosen:
            raise InputError("the structure has nothing but water and ions; name the residues that the potential describes with --qm.")
        return chosen
    chosen = []
    for text in residues:
        chain, _, number = text.rpartition(":")
        of_name = [residue for residue in present if residue.name == text]
        of_number = [residue for residue in present if residue.id == number and chain in ("", residue.chain.id)]
        if not of_name and not of_number:
            names = ", ".join(sorted({residue.name for residue in present}))
            raise InputError(f"--qm {text}: no residue has this name or number; there are {names}.")
        if not of_name and len(of_number) > 1:
            chains = ", ".join(f"{residue.chain.id}:{number}" for residue in of_number)
            raise InputError(f"--qm {text}: several residues have this number; choose of {chains}.")
        chosen += of_name or of_number
    return [residue for residue in present if residue in chosen]
