"""What a force field's system knows of its molecules, and its forces without those among QM atoms."""

from collections.abc import Iterator

import numpy as np
import openmm
from openmm import app
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, shortest_path

from amp_tf.errors import InputError

SMALL = 4
"""Particles of a molecule that is judged by its first one, such as water by its oxygen atom."""


def bonded_particles(system: openmm.System) -> np.ndarray:
    """Pairs [n_pairs, 2] of a molecule, by bonds, constraints and virtual sites."""
    pairs = [system.getConstraintParameters(number)[:2] for number in range(system.getNumConstraints())]
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce | openmm.CustomBondForce):
            pairs += [force.getBondParameters(number)[:2] for number in range(force.getNumBonds())]
    for particle in range(system.getNumParticles()):
        if system.isVirtualSite(particle):
            site = system.getVirtualSite(particle)
            pairs += [(particle, site.getParticle(number)) for number in range(site.getNumParticles())]
    return np.array(pairs, dtype=int).reshape(-1, 2)


def molecules_of(system: openmm.System) -> np.ndarray:
    """The number of the molecule of each particle."""
    return connected(bonded_particles(system), system.getNumParticles())


def connected(pairs: np.ndarray, n_particles: int) -> np.ndarray:
    """The number of the molecule of each of ``n_particles``, by pairs [n_pairs, 2] of bonded ones."""
    shape = (n_particles, n_particles)
    return connected_components(coo_array((np.ones(len(pairs)), pairs.T), shape=shape), directed=False)[1]


def groups_of(topology: app.Topology, molecules: np.ndarray) -> np.ndarray:
    """The number of the group of each particle whose charges are seen, or not, together: a molecule, or a residue of a long one, so that a
    chain is not judged by its end.

    Args:
        topology: of the system; tells the residues.
        molecules: of :func:`molecules_of`.
    """
    residues = np.array([atom.residue.index for atom in topology.atoms()])
    return np.unique(np.stack([molecules, residues], axis=1), axis=0, return_inverse=True)[1].reshape(-1)


def references_of(groups: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The particle by whose distance the group of each particle is judged: that from which the fewest bonds lead to its farthest one.

    Args:
        groups: of :func:`groups_of`, [n].
        pairs: of :func:`bonded_particles`, [n_pairs, 2].
    """
    within = pairs[groups[pairs[:, 0]] == groups[pairs[:, 1]]]
    bonds = coo_array((np.ones(len(within)), within.T), shape=(len(groups), len(groups))).tocsr()
    _, first, group_of, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    for group in np.flatnonzero(sizes > SMALL):
        particles = np.flatnonzero(group_of == group)
        steps = shortest_path(bonds[particles][:, particles], directed=False, unweighted=True)
        first[group] = particles[np.argmin(steps.max(axis=1))]
    return first[group_of]


BONDED = {
    openmm.HarmonicBondForce: ("Bond", 2, lambda values: [values[0], 0.0]),
    openmm.HarmonicAngleForce: ("Angle", 3, lambda values: [values[0], 0.0]),
    openmm.PeriodicTorsionForce: ("Torsion", 4, lambda values: [*values[:2], 0.0]),
    openmm.RBTorsionForce: ("Torsion", 4, lambda values: [0.0] * 6),
}
"""Of each bonded force: what its terms are called, how many atoms they have, and their parameters without strength."""

WITHOUT_TERMS = (
    openmm.CMMotionRemover, openmm.MonteCarloBarostat, openmm.MonteCarloAnisotropicBarostat, openmm.MonteCarloFlexibleBarostat,
    openmm.MonteCarloMembraneBarostat, openmm.AndersenThermostat, openmm.CustomExternalForce,
)  # fmt: skip
"""Forces that have no terms among atoms, and stay."""


def split_forces(system: openmm.System, atoms: set[int]) -> np.ndarray:
    """Take what is among QM atoms out of a system's forces; returns the charges that all particles had, e."""
    nonbonded = [force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)]
    if len(nonbonded) != 1:
        raise InputError(f"the system has {len(nonbonded)} NonbondedForces; exactly one is needed, whose charges embed the QM atoms.")
    for force in system.getForces():
        if kind := BONDED.get(type(force)):
            _without_strength(force, atoms, *kind)
        elif isinstance(force, openmm.CustomNonbondedForce):
            excluded = {frozenset(force.getExclusionParticles(number)) for number in range(force.getNumExclusions())}
            for first, second in _pairs(atoms):
                if frozenset((first, second)) not in excluded:
                    force.addExclusion(first, second)
        elif isinstance(force, openmm.CMAPTorsionForce | openmm.CustomBondForce | openmm.CustomAngleForce | openmm.CustomTorsionForce):
            _refuse_terms(force, atoms)
        elif not isinstance(force, (openmm.NonbondedForce, *WITHOUT_TERMS)):
            raise InputError(f"a {type(force).__name__} cannot be split between QM and MM atoms; take it out of the system.")
    return _split_nonbonded(nonbonded[0], atoms)


def _without_strength(force: openmm.Force, atoms: set[int], term: str, n_atoms: int, without_strength) -> None:
    read, write = getattr(force, f"get{term}Parameters"), getattr(force, f"set{term}Parameters")
    for number in range(getattr(force, f"getNum{term}s")()):
        parameters = read(number)
        if set(parameters[:n_atoms]) <= atoms:
            write(number, *parameters[:n_atoms], *without_strength(parameters[n_atoms:]))


def _refuse_terms(force: openmm.Force, atoms: set[int]) -> None:
    term = type(force).__name__.removeprefix("Custom").removesuffix("Force").removeprefix("CMAP")
    for number in range(getattr(force, f"getNum{term}s")()):
        indices = [value for value in getattr(force, f"get{term}Parameters")(number) if isinstance(value, int)]
        if isinstance(force, openmm.CMAPTorsionForce):
            indices = indices[1:]  # the first is that of the map
        if set(indices) & atoms:
            raise InputError(f"a {type(force).__name__} has terms of QM atoms, which cannot be switched off; take it out of the system.")


def _split_nonbonded(force: openmm.NonbondedForce, atoms: set[int]) -> np.ndarray:
    if force.getNumParticleParameterOffsets() or force.getNumExceptionParameterOffsets():
        raise InputError("charges with offsets by parameters cannot embed; take the offsets out of the NonbondedForce.")
    charges = np.array([force.getParticleParameters(number)[0]._value for number in range(force.getNumParticles())])
    for atom in atoms:
        _, sigma, epsilon = force.getParticleParameters(atom)
        force.setParticleParameters(atom, 0.0, sigma, epsilon)
    for first, second in _pairs(atoms):
        force.addException(first, second, 0.0, 0.1, 0.0, True)
    return charges


def _pairs(atoms: set[int]) -> Iterator[tuple[int, int]]:
    ordered = sorted(atoms)
    return ((first, second) for number, first in enumerate(ordered) for second in ordered[number + 1 :])
