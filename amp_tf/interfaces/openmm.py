"""QM/MM systems for OpenMM: a potential for some atoms, embedded in the charges of all others within a zone, which are a force field's."""

import itertools
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amp_tf.errors import InputError, SimulationError, not_installed

try:
    import openmm
    from openmm import app, unit
except ImportError as error:
    raise not_installed("OpenMM") from error

from amp_tf.interfaces.force_field import bonded_particles, connected, groups_of, molecules_of, references_of, split_forces
from amp_tf.interfaces.zone import WHOLE_CHARGE, Zone, check_embeds, compute_alone, compute_embedded, warn_of_jumps
from amp_tf.models import load_potential
from amp_tf.models.ensemble import members_of
from amp_tf.models.ranges import MARGIN
from amp_tf.neighbours import whole_at_first
from amp_tf.shipped import potential_file
from amp_tf.systems import System, naming
from amp_tf.targets import require_energy

ANGSTROM_PER_NM = 10.0

NO_NUMBERS = "positions, energies or forces are no numbers any more; look at the last frames, and take a shorter time step."


def make_mixed_system(
    topology: app.Topology,
    system: openmm.System,
    atoms: Sequence[int],
    potentials: Path | str | Sequence[Path | str],
    charge: float | None = None,
    zone: Zone | None = None,
    xla: bool = True,
    force_group: int = 0,
    margin: float = MARGIN,
) -> openmm.System:
    """A copy of a force field's system in which a potential describes some atoms, electrostatically embedded in the others.

    The energy is that of the force field for the other atoms, Lennard-Jones terms between them and the QM atoms, and the potential's in
    their charges within the zone. Every term of the force field among QM atoms is taken out, constraints too. Its molecules stay molecules
    by bonds without strength, so that they are wrapped, and scaled by barostats, as wholes. Virtual sites of QM molecules lose their
    charge.

    The system can be copied, pickled and written as XML; the potential is then read again from its path.

    Args:
        topology: of the system; tells the elements.
        system: of a force field, with one :class:`openmm.NonbondedForce`; not changed.
        atoms: numbers of the QM atoms: whole molecules.
        potentials: path or name (:func:`amp_tf.load_potential`) of a potential that embeds charges, or of several, whose mean it is.
        charge: total charge of the QM atoms, e; None: what their charges in the force field sum to.
        zone: which molecules the potential sees; of molecules of several residues it sees these one by one.
        xla: compile the potential, which takes seconds at the first step and is then faster.
        force_group: of the potential's force.
        margin: how far beyond its training data the potential may be asked, angstrom, before an error stops the simulation; infinity never.

    Raises:
        InputError: for a QM region that a bond, constraint or virtual site of the force field crosses, or without elements, or whose
            charges sum to no whole number; forces that cannot be split; a potential that does not embed charges or lacks an element.
        DataFileError: for a path that is no potential.
    """
    return mixed_system(topology, system, atoms, potentials, charge, zone, xla, force_group, margin)[0]


def mixed_system(
    topology: app.Topology, system: openmm.System, atoms: Sequence[int], potentials: Path | str | Sequence[Path | str],
    charge: float | None, zone: Zone | None, xla: bool, force_group: int, margin: float,
) -> tuple[openmm.System, "EmbeddedPotential"]:  # fmt: skip
    """:func:`make_mixed_system`, and what its force calls; copies of the system call copies of that."""
    atoms, n_particles = np.unique(np.asarray(list(atoms), dtype=int)), system.getNumParticles()
    is_site = np.array([system.isVirtualSite(particle) for particle in range(n_particles)])
    if not len(atoms) or atoms[0] < 0 or atoms[-1] >= n_particles or np.all(is_site[atoms]):
        raise InputError(f"atoms: give at least one number of an atom, 0 to {n_particles - 1}.")
    atoms = atoms[~is_site[atoms]]
    molecules = molecules_of(system)
    region = np.isin(molecules, molecules[atoms])  # with its virtual sites
    if cut := np.setdiff1d(np.flatnonzero(region & ~is_site), atoms).tolist():
        raise InputError(f"the QM region cuts a molecule: atom {cut[0]} belongs to one of it; take whole molecules.")
    elements = [atom.element for atom in topology.atoms()]
    if bad := [int(atom) for atom in atoms if elements[atom] is None]:
        raise InputError(f"atom {bad[0]} of the QM region has no element; leave it out.")
    mixed = openmm.XmlSerializer.clone(system)
    charges = split_forces(mixed, set(np.flatnonzero(region).tolist()))
    others, groups = np.flatnonzero(~region), groups_of(topology, molecules)
    function = EmbeddedPotential(
        paths=_paths(potentials),
        numbers=np.array([elements[atom].atomic_number for atom in atoms]),
        charge=_whole(charges[region].sum()) if charge is None else float(charge),
        atoms=atoms,
        others=others,
        mm_charges=charges[others],
        groups=groups[others],
        references=np.searchsorted(others, references_of(groups, bonded_particles(system))[others]),
        is_periodic=system.usesPeriodicBoundaryConditions(),
        zone=zone or Zone(),
        xla=xla,
        margin=margin,
    )
    function.check()
    for number in reversed(range(mixed.getNumConstraints())):
        if set(mixed.getConstraintParameters(number)[:2]) <= set(atoms.tolist()):
            mixed.removeConstraint(number)
    _hold_together(mixed, atoms, molecules)
    _add(mixed, function, force_group)
    return mixed, function


def add_force(
    topology: app.Topology,
    system: openmm.System,
    atoms: Sequence[int] | None,
    potentials: Path | str | Sequence[Path | str],
    charge: float | None = None,
    xla: bool = True,
    force_group: int = 0,
    margin: float = MARGIN,
) -> None:
    """Add the energy of some atoms alone, as if nothing were around them: of an isolated molecule, or for mechanical embedding. Molecules
    stay molecules by bonds without strength, where the system has taken theirs out.

    Args:
        topology, system: as in :func:`make_mixed_system`; the system is changed.
        atoms: numbers of the atoms, whole molecules; None: all.
        potentials, xla, force_group, margin: as in :func:`make_mixed_system`.
        charge: total charge of the atoms, e; None: what their charges in the force field sum to, 0 without any.

    Raises:
        InputError: for atoms without an element, and potentials that do not know one or the charge.
        DataFileError: for a path that is no potential.
    """
    elements = [atom.element for atom in topology.atoms()]
    atoms = np.arange(len(elements)) if atoms is None else np.unique(np.asarray(list(atoms), dtype=int))
    if bad := [int(atom) for atom in atoms if elements[atom] is None]:
        raise InputError(f"atom {bad[0]} has no element; leave it out.")
    none = np.zeros(0, dtype=int)
    if charge is None:
        nonbonded = [force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)]
        charge = _whole(sum(force.getParticleParameters(int(atom))[0]._value for force in nonbonded for atom in atoms))
    function = EmbeddedPotential(
        _paths(potentials), np.array([elements[atom].atomic_number for atom in atoms]), float(charge), atoms, none, np.zeros(0), none, none,
        system.usesPeriodicBoundaryConditions(), Zone(), xla, margin,
    )  # fmt: skip
    function.check()
    bonded = [(first.index, second.index) for first, second in topology.bonds()]
    _hold_together(system, atoms, connected(np.array(bonded, dtype=int).reshape(-1, 2), len(elements)))
    _add(system, function, force_group)


def _whole(charge: float) -> float:
    if abs(charge - round(charge)) > WHOLE_CHARGE:
        raise InputError(f"the charges of the QM atoms in the force field sum to {charge:.3f} e, no whole number; give charge.")
    return float(round(charge))


def _hold_together(system: openmm.System, atoms: np.ndarray, molecules: np.ndarray) -> None:
    """Bonds without strength along the atoms of each molecule, by which OpenMM knows it."""
    holding = openmm.HarmonicBondForce()
    holding.setName("molecules of the QM region")
    for molecule in np.unique(molecules[atoms]):
        for first, second in itertools.pairwise(atoms[molecules[atoms] == molecule]):
            holding.addBond(int(first), int(second), 0.1, 0.0)
    system.addForce(holding)


def _paths(potentials: Path | str | Sequence[Path | str]) -> tuple[str, ...]:
    return tuple(str(potential_file(path).resolve()) for path in ([potentials] if isinstance(potentials, Path | str) else potentials))


def _add(system: openmm.System, function: "EmbeddedPotential", force_group: int) -> None:
    force = openmm.PythonForce(function)
    force.setName("amp_tf")
    force.setUsesPeriodicBoundaryConditions(function.is_periodic)
    force.setForceGroup(force_group)
    system.addForce(force)


@dataclass
class EmbeddedPotential:
    """What :class:`openmm.PythonForce` calls: the energy of the QM atoms in the charges of the others, and the forces on all.

    Pickled without the potentials, which are read again from their paths.

    Attributes:
        paths: of the potentials.
        numbers: atomic numbers of the QM atoms.
        charge: of the QM atoms, e.
        atoms, others: numbers of QM atoms and of all others.
        mm_charges, groups: of the others, e and the number of the molecule, or of the residue of a long one.
        references: the number, among the others, of the particle that the group of each is judged by.
        is_periodic: whether there are images.
        zone: which molecules are seen.
        xla: compile the potentials.
        margin: how far beyond its training data a potential may be asked, angstrom.
        seen: the QM atoms of the last call and the molecules around them, with charges that are not switched.
    """

    paths: tuple[str, ...]
    numbers: np.ndarray
    charge: float
    atoms: np.ndarray
    others: np.ndarray
    mm_charges: np.ndarray
    groups: np.ndarray
    references: np.ndarray
    is_periodic: bool
    zone: Zone
    xla: bool
    margin: float
    seen: System | None = field(default=None, repr=False)
    _results: list = field(default_factory=list, repr=False)
    _members: list | None = field(default=None, repr=False)
    _last: tuple | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"seen": None, "_results": [], "_members": None, "_last": None}

    @property
    def members(self) -> list:
        """The potentials, those of an ensemble one by one, read when they are first needed."""
        if self._members is None:
            self._members = [member for path in self.paths for member in members_of(load_potential(path))]
        return self._members

    def check(self) -> None:
        """Raises:
        InputError: if a potential does not embed charges, or does not know an element or the charge.
        """
        path = ", ".join(map(str, self.paths))
        for member in self.members:
            with naming(path):
                require_energy(member, "OpenMM")
            if len(self.others):
                check_embeds(member, path)
                warn_of_jumps(member, path)
            systems = [System(self.numbers, 3.0 * np.arange(len(self.numbers))[:, None] * np.ones(3), self.charge)]
            member.check_systems(systems)
            member.check_charges(systems)
            ranges = member.training_ranges
            if ranges is not None and (complaint := ranges.charge_complaint(self.mm_charges)):
                warnings.warn(f"{path}: {complaint}.", stacklevel=3)

    @property
    def disagreement(self) -> float:
        """Of a committee about the force on an atom in the last call, kJ/mol/angstrom: the largest root mean square deviation from the mean
        of its members; 0 for a single potential."""
        gradients = np.array([result["qm_gradients"] for result in self._results])
        return float(np.sqrt(gradients.var(axis=0).sum(axis=-1)).max()) if len(gradients) else 0.0

    def __call__(self, state: openmm.State) -> tuple[float, np.ndarray]:
        """Energy, kJ/mol, and forces on all particles [n, 3], kJ/mol/nm."""
        try:
            return self._compute(state)
        except BaseException as error:
            _raised[:] = [error]
            raise

    def _compute(self, state: openmm.State) -> tuple[float, np.ndarray]:
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        if not np.all(np.isfinite(positions)):
            raise SimulationError(NO_NUMBERS)
        cell = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom) if self.is_periodic else None
        if self._last is not None and np.array_equal(positions, self._last[0]) and np.array_equal(cell, self._last[1]):
            return self._last[2]
        qm = whole_at_first(positions[self.atoms], cell)
        forces = np.zeros_like(positions)
        if len(self.others):
            if self.seen is None and (complaint := self.zone.reach_complaint(positions[self.others], self.references)):
                warnings.warn(f"{complaint}.", stacklevel=2)
            around = self.zone.surroundings(qm, positions[self.others], self.mm_charges, self.groups, cell, self.references)
            self.seen = System(self.numbers, qm, self.charge, around.positions, around.own_charges)
            system = System(self.numbers, qm, self.charge, around.positions, around.charges)
            results = compute_embedded(self.members, system, around, len(self.others), self.xla, self.margin, self.others)
            forces[self.others] = -np.mean([result["mm_gradients"] for result in results], axis=0) * ANGSTROM_PER_NM
        else:
            self.seen = System(self.numbers, qm, self.charge)
            results = compute_alone(self.members, self.seen, self.xla, self.margin)
        forces[self.atoms] = -np.mean([result["qm_gradients"] for result in results], axis=0) * ANGSTROM_PER_NM
        energy = float(np.mean([result["energy"] for result in results]))
        if not (np.isfinite(energy) and np.all(np.isfinite(forces))):
            raise SimulationError(NO_NUMBERS)
        self._last, self._results = (np.array(positions), cell, (energy, forces)), results
        return self._last[2]


_raised: list[BaseException] = []


@contextmanager
def original_errors() -> Iterator[None]:
    """Within, an error of the potential is raised as itself, not as the OpenMMException that OpenMM makes of it.

    Raises:
        SimulationError: for positions or energies that OpenMM finds to be no numbers, and other complaints of OpenMM.
    """
    _raised.clear()
    try:
        yield
    except openmm.OpenMMException as error:
        if _raised:
            raise _raised.pop() from error
        if "nan" in str(error).lower():
            raise SimulationError(NO_NUMBERS) from error
        raise SimulationError(f"OpenMM: {' '.join(str(error).split()).rstrip('.')}.") from error
