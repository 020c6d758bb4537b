"""QM/MM systems in OpenMM: one or two waters of a box as QM atoms."""

import copy
import importlib
import sys
import types

import keras
import numpy as np
import pytest

openmm = pytest.importorskip("openmm", reason="OpenMM is not installed: pip install 'amp_tf[openmm]'")
from openmm import app, unit  # noqa: E402

import amp_tf  # noqa: E402
from amp_tf.errors import DataFileError, EngineError, InputError, SimulationError  # noqa: E402
from amp_tf.interfaces.force_field import molecules_of, references_of  # noqa: E402
from amp_tf.interfaces.openmm import add_force, make_mixed_system, mixed_system, original_errors  # noqa: E402
from amp_tf.interfaces.openmmml import PotentialFactory  # noqa: E402
from amp_tf.interfaces.zone import Zone  # noqa: E402

ZONE = Zone(7.0, 2.0)
BOXES = {
    "cubic": np.eye(3) * 2.2,
    "triclinic": np.array([[2.4, 0, 0], [0.6, 2.4, 0], [-0.7, 0.9, 2.3]]),
}
MODELS = {"tip3p": "tip3p.xml", "tip4pew": "tip4pew.xml"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return save(tmp_path_factory.mktemp("potentials") / "model.keras")


def save(path, seed=1, **settings):
    keras.utils.set_random_seed(seed)
    small = {"n_layers": 1, "n_features": 8, "n_radial_weights": 2, "cutoff": 4.0, "coefficient_scale": 0.1, "dtype": "float64"}
    charged = {"direct_polarization": True, "pairwise_coulomb": True, "near_cutoff": 4.0}
    amp_tf.AMP(("H", "O"), 2, **small | charged | settings).save(path)
    return path


def water_box(model="tip3p", box="cubic", constraints=None, rigid=True):
    """Topology, system and positions of a box of water; electrostatics by PME to a tight tolerance."""
    force_field = app.ForceField(MODELS[model])
    modeller = app.Modeller(app.Topology(), [] * unit.nanometer)
    modeller.addSolvent(force_field, model=model, boxVectors=[openmm.Vec3(*vector) for vector in BOXES[box]] * unit.nanometer)
    system = force_field.createSystem(
        modeller.topology, app.PME, 0.9 * unit.nanometer, constraints, rigidWater=rigid, ewaldErrorTolerance=1e-6
    )
    return modeller.topology, system, np.array(modeller.positions.value_in_unit(unit.nanometer))


def evaluate(system, positions, forces=False):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    context.computeVirtualSites()
    with original_errors():
        state = context.getState(energy=True, forces=forces, positions=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    return (energy, state.getForces(asNumpy=True)._value) if forces else energy


@pytest.mark.parametrize("box", BOXES)
def test_energy_is_the_sum_of_its_parts(box, path):
    """The force field's without charges on the QM atoms, and the potential's in the charges of the zone, gathered here by hand."""
    topology, system, positions = water_box("tip3p", box)
    mixed = make_mixed_system(topology, system, range(3), path, zone=ZONE, xla=False)
    energy, forces = evaluate(mixed, positions, forces=True)
    without = copy.deepcopy(system)
    nonbonded = next(force for force in without.getForces() if isinstance(force, openmm.NonbondedForce))
    charges = np.array([nonbonded.getParticleParameters(number)[0]._value for number in range(system.getNumParticles())])
    for number in range(3):
        nonbonded.setParticleParameters(number, 0.0, *nonbonded.getParticleParameters(number)[1:])
    for first, second in ((0, 1), (0, 2), (1, 2)):
        nonbonded.addException(first, second, 0.0, 0.1, 0.0, True)
    qm, vectors = 10 * positions[:3], 10 * BOXES[box]
    seen, seen_charges = [], []
    for first in range(3, len(positions), 3):
        best = min(
            (np.array(shift) @ vectors for shift in np.ndindex(3, 3, 3)),
            key=lambda vector: np.linalg.norm(qm - (10 * positions[first] + vector - vectors.sum(axis=0)), axis=1).min(),
        ) - vectors.sum(axis=0)
        molecule = 10 * positions[first : first + 3] + best
        distance = np.linalg.norm(qm - molecule[0], axis=1).min()
        if distance < ZONE.radius:
            x = np.clip((distance - ZONE.radius + ZONE.width) / ZONE.width, 0, 1)
            seen.append(molecule)
            seen_charges.append(charges[first : first + 3] * (1 - 10 * x**3 + 15 * x**4 - 6 * x**5))
    potential = amp_tf.load_potential(path)
    of_potential = potential.compute([8, 1, 1], qm, np.concatenate(seen), np.concatenate(seen_charges))["energy"]
    assert energy == pytest.approx(evaluate(without, positions) + of_potential, abs=1e-3)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-2 * np.abs(forces).max())


def test_forces_are_those_of_the_energy(path):
    """Flexible water, two molecules as QM region; atoms of the region, of the zone's edge and outside."""
    topology, system, positions = water_box(rigid=False)
    mixed = make_mixed_system(topology, system, [0, 1, 2, 9, 10, 11], path, zone=Zone(5.0, 2.0), xla=False)
    _, forces = evaluate(mixed, positions, forces=True)
    random = np.random.default_rng(0)
    for atom in (0, 1, 9, 11, *random.choice(np.arange(12, len(positions)), 8, replace=False)):
        direction = random.normal(size=3)
        direction /= np.linalg.norm(direction)
        moved = [positions.copy(), positions.copy()]
        for sign, place in zip((1, -1), moved, strict=True):
            place[atom] += sign * 1e-5 * direction
        slope = (evaluate(mixed, moved[0]) - evaluate(mixed, moved[1])) / 2e-5
        assert forces[atom] @ direction == pytest.approx(-slope, abs=max(0.5, 1e-3 * np.abs(forces[atom]).max()))


def test_whole_molecules_may_be_anywhere(path):
    """Molecules moved by vectors of the box, the QM one too, give the same energy."""
    topology, system, positions = water_box("tip3p", "triclinic")
    mixed = make_mixed_system(topology, system, range(3), path, zone=ZONE, xla=False)
    shifts = np.random.default_rng(1).integers(-1, 2, size=(len(positions) // 3, 3)) @ BOXES["triclinic"]
    moved = positions + np.repeat(shifts, 3, axis=0)
    assert evaluate(mixed, moved) == pytest.approx(evaluate(mixed, positions), abs=1e-3)


def test_virtual_sites_embed_and_pass_their_forces_on(path):
    """A TIP3P-like QM water of its own residue in TIP4P water: the sites M carry the charges."""
    topology, system, positions = water_box("tip4pew", "cubic")
    keep = [atom for atom in range(system.getNumParticles()) if atom != 3]
    smaller, other = openmm.System(), app.Topology()
    smaller.setDefaultPeriodicBoxVectors(*system.getDefaultPeriodicBoxVectors())
    chain = other.addChain()
    old = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    nonbonded = openmm.NonbondedForce()
    nonbonded.setNonbondedMethod(openmm.NonbondedForce.PME)
    nonbonded.setCutoffDistance(0.9)
    atoms, number_of = list(topology.atoms()), {atom: number for number, atom in enumerate(keep)}
    for atom in keep:
        if atom % 4 == 0:
            residue = other.addResidue("HOH", chain)
        smaller.addParticle(system.getParticleMass(atom))
        other.addAtom(atoms[atom].name, atoms[atom].element, residue)
        nonbonded.addParticle(*old.getParticleParameters(atom))
    for atom in keep:
        if system.isVirtualSite(atom):
            site = system.getVirtualSite(atom)
            parents, weights = [number_of[site.getParticle(k)] for k in range(3)], [site.getWeight(k) for k in range(3)]
            smaller.setVirtualSite(number_of[atom], openmm.ThreeParticleAverageSite(*parents, *weights))
    for number in range(old.getNumExceptions()):
        first, second, *parameters = old.getExceptionParameters(number)
        if 3 not in (first, second):
            nonbonded.addException(number_of[first], number_of[second], *parameters)
    for number in range(system.getNumConstraints()):
        first, second, distance = system.getConstraintParameters(number)
        smaller.addConstraint(number_of[first], number_of[second], distance)
    smaller.addForce(nonbonded)
    mixed = make_mixed_system(other, smaller, range(3), path, charge=0.0, zone=ZONE, xla=False)
    positions = positions[keep]
    _, forces = evaluate(mixed, positions, forces=True)
    for atom in (0, 4, 5):
        moved = [positions.copy(), positions.copy()]
        for sign, place in zip((1, -1), moved, strict=True):
            place[atom, 0] += sign * 1e-5
        slope = (evaluate(mixed, moved[0]) - evaluate(mixed, moved[1])) / 2e-5
        assert forces[atom, 0] == pytest.approx(-slope, abs=max(0.5, 1e-3 * np.abs(forces[atom]).max()))


def test_copies_and_xml_give_the_same(path, tmp_path):
    topology, system, positions = water_box()
    mixed = make_mixed_system(topology, system, range(3), path, zone=ZONE, xla=False)
    expected = evaluate(mixed, positions)
    assert evaluate(copy.deepcopy(mixed), positions) == pytest.approx(expected, abs=1e-9)
    assert evaluate(openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(mixed)), positions) == pytest.approx(expected, abs=1e-9)


def test_the_region_loses_its_force_field_and_stays_molecules(path):
    topology, system, _ = water_box(rigid=True)
    n_constraints = system.getNumConstraints()
    mixed = make_mixed_system(topology, system, [0, 1, 2, 6, 7, 8], path, zone=ZONE, xla=False)
    assert system.getNumConstraints() == n_constraints, "the system that was given is as it was"
    assert mixed.getNumConstraints() == n_constraints - 6
    np.testing.assert_array_equal(molecules_of(mixed), molecules_of(system))


def test_dynamics_with_a_barostat_run(path):
    topology, system, positions = water_box()
    mixed = make_mixed_system(topology, system, range(3), path, zone=Zone(6.0, 2.0), xla=False)
    mixed.addForce(openmm.MonteCarloBarostat(1.0, 300.0, 2))
    integrator = openmm.LangevinMiddleIntegrator(300.0, 10.0, 0.0002)
    context = openmm.Context(mixed, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    with original_errors():
        integrator.step(6)
    assert np.all(np.isfinite(context.getState(positions=True).getPositions(asNumpy=True)._value))


def test_committees_and_the_plug_in_of_openmm_ml(path, tmp_path):
    topology, system, positions = water_box()
    other = save(tmp_path / "other.keras", seed=2)
    single = [evaluate(make_mixed_system(topology, system, range(3), each, zone=ZONE, xla=False), positions) for each in (path, other)]
    both = evaluate(make_mixed_system(topology, system, range(3), [path, other], zone=ZONE, xla=False), positions)
    assert both == pytest.approx(np.mean(single), abs=1e-6)
    impl = PotentialFactory().createImpl("amp_tf", path=path)
    assert impl.getSupportedEmbeddings() == ["electrostatic"]
    mixed = impl.createMixedSystem(topology, system, [0, 1, 2], 3, False, "electrostatic", zone=ZONE, xla=False)
    assert mixed.getForce(mixed.getNumForces() - 1).getForceGroup() == 3
    assert evaluate(mixed, positions) == pytest.approx(single[0], abs=1e-9)
    for work, words in {
        "path": lambda: PotentialFactory().createImpl("amp_tf"),
        "here, not zone": lambda: impl.addForces(topology, system, None, 0, zone=ZONE),
        "interpolate": lambda: impl.createMixedSystem(topology, system, [0, 1, 2], 0, True, "electrostatic"),
        "here, not cutoff": lambda: impl.createMixedSystem(topology, system, [0, 1, 2], 0, False, "electrostatic", cutoff=1.0),
    }.items():
        with pytest.raises(InputError, match=work):
            words()


def test_openmm_ml_itself(path):
    """The plug-in as its users call it: an isolated molecule, mechanical and electrostatic embedding."""
    openmmml = pytest.importorskip("openmmml", reason="OpenMM-ML is not installed: pip install openmmml")
    topology, system, positions = water_box()
    potential = openmmml.MLPotential("amp_tf", path=path)
    mixed = potential.createMixedSystem(topology, system, [0, 1, 2], embedding="electrostatic", zone=ZONE, xla=False)
    expected = make_mixed_system(topology, system, [0, 1, 2], path, zone=ZONE, xla=False)
    assert evaluate(mixed, positions) == pytest.approx(evaluate(expected, positions), abs=1e-9)
    alone = amp_tf.load_potential(path).compute([8, 1, 1], 10.0 * positions[:3])["energy"]
    chain = app.Topology()
    residue = chain.addResidue("HOH", chain.addChain())
    for symbol in ("O", "H", "H"):
        chain.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
    assert evaluate(potential.createSystem(chain, xla=False), positions[:3]) == pytest.approx(alone, abs=1e-6)
    mechanical = potential.createMixedSystem(topology, system, [0, 1, 2], xla=False)
    assert np.isfinite(evaluate(mechanical, positions))
    assert {force.getName() for force in mechanical.getForces()} >= {"amp_tf", "NonbondedForce"}
    for number in reversed(range(system.getNumForces())):
        system.removeForce(number)
    add_force(topology, system, [0, 1, 2], path, xla=False)
    energy, forces = evaluate(system, positions, forces=True)
    assert energy == pytest.approx(alone, abs=1e-6)
    assert np.all(forces[3:] == 0.0)
    assert np.abs(forces[:3]).max() > 1.0


def linked(system, number_of_waters):
    """Waters as one long molecule, by bonds without strength."""
    changed, chain = copy.deepcopy(system), openmm.HarmonicBondForce()
    for number in range(1, number_of_waters - 1):
        chain.addBond(3 * number, 3 * number + 3, 0.3, 0.0)
    changed.addForce(chain)
    return changed


def test_residues_are_judged_by_their_middle():
    """A chain of seven atoms in residues of five and two with a branch, a ring of six, and water."""
    chain = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (2, 7)]
    ring = [(8 + n, 8 + (n + 1) % 6) for n in range(6)]
    groups = np.array([5, 5, 5, 5, 5, 3, 3, 5, *[9] * 6, *[2] * 3])
    found = references_of(groups, np.array([*chain, *ring, (14, 15), (14, 16)]))
    np.testing.assert_array_equal(found, [2, 2, 2, 2, 2, 5, 5, 2, *[8] * 6, *[14] * 3])


def test_forces_are_those_of_the_energy_where_residues_are_judged_by_their_middle(path):
    """A water among pairs of waters, each pair a residue, of which the last atom holds the others: the switch acts on that one."""
    water = 0.1 * np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    around = [
        water + radius * np.array(direction)
        for direction, distance in (([1, 0, 0], 0.30), ([0, 1, 0], 0.33), ([0, 0, 1], 0.36), ([-1, 0, 0], 0.39), ([0, 0, -1], 0.42))
        for radius in (distance, distance + 0.28)
    ]
    positions, alone, paired = np.concatenate([water, *around]), app.Topology(), app.Topology()
    for number in range(len(positions) // 3):
        residue = alone.addResidue("HOH", alone.addChain())
        if number < 2 or number % 2 == 1:  # the first is QM
            pair = paired.addResidue("PAIR", paired.addChain())
        atoms = [alone.addAtom(name, app.Element.getBySymbol(name[0]), residue) for name in ("O", "H1", "H2")]
        for atom in atoms:
            paired.addAtom(atom.name, atom.element, pair)
        alone.addBond(atoms[0], atoms[1])
        alone.addBond(atoms[0], atoms[2])
    system, bonds = app.ForceField("tip3p.xml").createSystem(alone, rigidWater=False), openmm.HarmonicBondForce()
    for first in range(3, len(positions), 6):
        for atom in range(first, first + 5):
            bonds.addBond(atom, first + 5, 0.1, 0.0)
    system.addForce(bonds)
    mixed, function = mixed_system(paired, system, range(3), path, None, Zone(8.4, 4.0), False, 0, np.inf)
    np.testing.assert_array_equal(function.references, np.repeat(np.arange(5, 30, 6), 6))
    _, forces = evaluate(mixed, positions, forces=True)
    direction = np.array([0.6, -0.64, 0.48])
    for atom in (8, 14, 9, 0):  # two that hold others, another atom, and one of the QM water
        moved = [positions.copy(), positions.copy()]
        for sign, place in zip((1, -1), moved, strict=True):
            place[atom] += sign * 1e-5 * direction
        slope = (evaluate(mixed, moved[0]) - evaluate(mixed, moved[1])) / 2e-5
        assert forces[atom] @ direction == pytest.approx(-slope, abs=max(0.5, 1e-3 * np.abs(forces[atom]).max()))


def test_a_residue_that_reaches_too_far_is_told(path):
    """Half of a zone: its end may be near while the atom that it is judged by is out of sight."""
    zone, line = Zone(8.0, 2.0), np.arange(0.0, 9.0)[:, None] * np.array([1.0, 0.0, 0.0])
    assert zone.reach_complaint(line, np.full(9, 4)) is None
    assert "reaches 8.0 angstrom from the atom by which a zone of 8 angstrom judges it" in zone.reach_complaint(line, np.zeros(9, int))
    topology, system, positions = water_box()
    function = mixed_system(topology, system, range(3), path, None, ZONE, False, 0, 0.1)[1]
    far = positions.copy()
    far[4] = far[3] + [0.5, 0.0, 0.0]
    with pytest.warns(UserWarning, match=r"reaches 5\.0 angstrom .* take a larger zone, or smaller residues"):
        function(
            types.SimpleNamespace(
                getPositions=lambda **_: far * unit.nanometer, getPeriodicBoxVectors=lambda **_: BOXES["cubic"] * unit.nanometer
            )
        )


def test_a_long_molecule_is_seen_residue_by_residue(path):
    """As a protein around a ligand, which one of its ends must not make visible or invisible as a whole."""
    topology, system, positions = water_box()
    chain = linked(system, topology.getNumResidues())
    assert len(np.unique(molecules_of(chain))) == 2
    found = [evaluate(make_mixed_system(topology, one, range(3), path, zone=ZONE, xla=False), positions) for one in (system, chain)]
    assert found[1] == pytest.approx(found[0], abs=1e-9)
    assert abs(found[0] - evaluate(make_mixed_system(topology, system, range(3), path, zone=Zone(4.0, 1.0), xla=False), positions)) > 1e-3


def test_maps_of_torsions_among_other_atoms_are_kept(path):
    """The number of a map is no number of an atom."""
    topology, system, positions = water_box()
    maps = openmm.CMAPTorsionForce()
    maps.addMap(2, [0.0] * 4)
    maps.addTorsion(0, 3, 4, 6, 7, 4, 6, 7, 9)
    system.addForce(maps)
    assert np.isfinite(evaluate(make_mixed_system(topology, system, range(3), path, zone=ZONE, xla=False), positions))
    maps = next(force for force in system.getForces() if isinstance(force, openmm.CMAPTorsionForce))
    maps.addTorsion(0, 0, 1, 3, 4, 1, 3, 4, 6)
    with pytest.raises(InputError, match="CMAPTorsionForce has terms of QM atoms"):
        make_mixed_system(topology, system, range(3), path)


def test_an_ion_alone_has_the_charge_of_its_force_field(path):
    topology, system = app.Topology(), openmm.System()
    residue, charges = topology.addResidue("OH", topology.addChain()), openmm.NonbondedForce()
    atoms = [topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue) for symbol in "OH"]
    topology.addBond(*atoms)
    for charge in (-1.3, 0.3):
        system.addParticle(1.0)
        charges.addParticle(charge, 0.1, 0.0)
    charges.addException(0, 1, 0.0, 0.1, 0.0)
    system.addForce(charges)
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.097]])
    add_force(topology, system, None, path, xla=False)
    expected = amp_tf.load_potential(path).compute([8, 1], 10.0 * positions, total_charge=-1.0)["energy"]
    assert evaluate(system, positions) == pytest.approx(expected, abs=1e-6)
    assert len(np.unique(molecules_of(system))) == 1


def test_an_ensemble_is_a_committee(path, tmp_path):
    members = [amp_tf.load_potential(each) for each in (path, save(tmp_path / "other.keras", seed=2))]
    amp_tf.Ensemble(members).save(tmp_path / "both.keras")
    topology, system, positions = water_box()
    mixed, function = mixed_system(topology, system, range(3), tmp_path / "both.keras", None, ZONE, False, 0, 0.1)
    evaluate(mixed, positions)
    assert len(function.members) == 2


@pytest.mark.parametrize("given", [range(4), range(3)])
def test_virtual_sites_of_qm_molecules_lose_their_charge(path, given):
    """A molecule of TIP4P water as QM region, with its site M or without."""
    topology, system, positions = water_box("tip4pew")
    mixed, function = mixed_system(topology, system, given, path, None, ZONE, False, 0, 0.1)
    assert function.atoms.tolist() == [0, 1, 2]
    assert function.others.tolist() == list(range(4, system.getNumParticles()))
    assert function.charge == 0.0
    nonbonded = mixed.getForce(nonbonded_of(mixed))
    assert [nonbonded.getParticleParameters(number)[0]._value for number in range(4)] == [0.0] * 4
    moved = positions.copy()
    moved[3] += 0.02  # to where its atoms do not put it
    assert evaluate(mixed, moved) == pytest.approx(evaluate(mixed, positions), abs=1e-3)


def test_polarization_that_does_not_fade_is_told(tmp_path):
    """Eq. 10 sees that a particle is there, whatever its charge."""
    plain = save(tmp_path / "plain.keras", near_cutoff=None)
    with pytest.warns(UserWarning, match="energies jump where molecules enter or leave the zone; train one with near_cutoff"):
        make_mixed_system(*water_box()[:2], range(3), plain)


def test_complaints_of_openmm_are_sentences():
    system = copy.deepcopy(water_box()[1])
    system.setDefaultPeriodicBoxVectors(*np.eye(3))
    with pytest.raises(SimulationError, match=r"^OpenMM: .*cutoff.*box.*[.]$"), original_errors():
        openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))


def recharged(system, atom, charge):
    """A copy of the system in which an atom has another charge, e."""
    changed = copy.deepcopy(system)
    force = changed.getForce(nonbonded_of(changed))
    force.setParticleParameters(atom, charge, *force.getParticleParameters(atom)[1:])
    return changed


def test_what_cannot_be_split_is_refused(path, tmp_path):
    topology, system, positions = water_box()
    with pytest.raises(InputError, match="cuts a molecule: atom 2 belongs"):
        make_mixed_system(topology, system, [0, 1], path)
    with pytest.raises(InputError, match="at least one number of an atom"):
        make_mixed_system(topology, system, [], path)
    with pytest.raises(DataFileError, match="no such file"):
        make_mixed_system(topology, system, range(3), tmp_path / "none.keras")
    blind = save(tmp_path / "blind.keras", direct_polarization=False, pairwise_coulomb=False, near_cutoff=None)
    with pytest.raises(InputError, match="does not embed charges"):
        make_mixed_system(topology, system, range(3), blind)
    with pytest.raises(InputError, match="at least one number of an atom"):
        make_mixed_system(*water_box("tip4pew")[:2], [3], path)  # a virtual site
    with pytest.raises(InputError, match=r"sum to 0\.400 e, no whole number; give charge"):
        make_mixed_system(topology, recharged(system, 0, -0.434), range(3), path)
    with pytest.raises(InputError, match="the box is 22"):
        evaluate(make_mixed_system(topology, system, range(3), path, zone=Zone(11.0, 2.0), xla=False), positions)
    for change, words in {
        lambda other: other.addForce(openmm.NonbondedForce()): "2 NonbondedForces",
        lambda other: other.addForce(openmm.GBSAOBCForce()): "GBSAOBCForce cannot be split",
        lambda other: (
            other.getForce(nonbonded_of(other)).addGlobalParameter("scale", 1.0)
            or other.getForce(nonbonded_of(other)).addParticleParameterOffset("scale", 5, 0.1, 0.0, 0.0)
        ): "offsets",
    }.items():
        changed = copy.deepcopy(system)
        change(changed)
        with pytest.raises(InputError, match=words):
            make_mixed_system(topology, changed, range(3), path)


def test_without_openmm_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "amp_tf.interfaces.openmm")
    monkeypatch.setitem(sys.modules, "openmm", None)
    with pytest.raises(EngineError, match=r"OpenMM is not installed; install it with: pip install 'amp_tf\[openmm\]'"):
        importlib.import_module("amp_tf.interfaces.openmm")


def nonbonded_of(system):
    return next(number for number, force in enumerate(system.getForces()) if isinstance(force, openmm.NonbondedForce))


def test_energies_that_are_no_numbers_stop_dynamics(path, tmp_path):
    potential = amp_tf.load_potential(path)
    weights = potential.get_weights()
    weights[0][:] = np.nan
    potential.set_weights(weights)
    potential.save(tmp_path / "nan.keras")
    topology, system, positions = water_box()
    with pytest.raises((SimulationError, InputError)):
        evaluate(make_mixed_system(topology, system, range(3), tmp_path / "nan.keras", zone=ZONE, xla=False), positions)
    _, function = mixed_system(topology, system, range(3), path, None, ZONE, False, 0, 0.1)
    with pytest.raises(SimulationError, match="are no numbers any more"):
        function(NoNumbers(len(positions)))


class NoNumbers:
    """A state in which nothing is a number; OpenMM's own forces do not survive such a one in every version."""

    def __init__(self, n):
        self._positions = np.full((n, 3), np.nan) * unit.nanometer

    def getPositions(self, asNumpy):
        return self._positions
