"""The ASE calculator: units, the total charge, committees, forces against finite differences, embedding with EIQMMM and by hand."""

import keras
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.fd import calculate_numerical_forces
from ase.calculators.qmmm import EIQMMM, Embedding, LJInteractions
from ase.calculators.tip3p import TIP3P, epsilon0, rOH, sigma0, thetaHOH
from ase.calculators.tip4p import TIP4P

import amp_tf
from amp_tf import units
from amp_tf.errors import DataFileError, InputError, SimulationError
from amp_tf.interfaces.ase import AMPCalculator
from amp_tf.interfaces.zone import Zone
from amp_tf.models.ranges import training_ranges
from amp_tf.systems import System

SMALL = {"n_layers": 1, "n_features": 8, "n_radial_weights": 2, "cutoff": 4.0, "coefficient_scale": 0.1, "dtype": "float64"}


def potential(seed: int = 1, **settings):
    keras.utils.set_random_seed(seed)
    charged = {"direct_polarization": True, "pairwise_coulomb": True, "near_cutoff": 4.0}
    return amp_tf.AMP(("H", "C", "O"), 2, **SMALL | charged | settings)


@pytest.fixture
def methanol():
    return molecule("CH3OH")


def test_results_are_those_of_the_potential_in_ev(methanol, tmp_path):
    model = potential()
    model.save(tmp_path / "model.keras")
    expected = model.compute(methanol.numbers, methanol.positions)
    methanol.calc = AMPCalculator(tmp_path / "model.keras")
    assert type(methanol.get_potential_energy()) is float
    assert methanol.get_potential_energy() == pytest.approx(expected["energy"] / units.EV, rel=1e-12)
    assert methanol.get_potential_energy(force_consistent=True) == methanol.get_potential_energy()
    np.testing.assert_allclose(methanol.get_forces(), -expected["qm_gradients"] / units.EV, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(methanol.get_charges(), expected["charges"])
    np.testing.assert_allclose(methanol.get_dipole_moment(), expected["dipole"])
    np.testing.assert_allclose(calculate_numerical_forces(methanol, 1e-5), methanol.get_forces(), atol=1e-6)


def test_the_precision_can_be_chosen(methanol, tmp_path):
    model = potential()
    model.save(tmp_path / "model.keras")
    for given in (model, tmp_path / "model.keras"):
        single, double = AMPCalculator(given, dtype="float32"), AMPCalculator(given, dtype="float64")
        assert {member.compute_dtype for member in single.members} == {"float32"}
        assert double.get_potential_energy(methanol) == pytest.approx(single.get_potential_energy(methanol), rel=1e-5)
    with pytest.raises(InputError, match="dtype must be one of float32, float64"):
        AMPCalculator(model, dtype="float16")


def test_the_total_charge_is_never_stale(methanol):
    model = potential()
    methanol.calc = AMPCalculator(model)
    for charge in (None, 1.0, -1.0):
        if charge is not None:
            methanol.info["charge"] = charge
        expected = model.compute(methanol.numbers, methanol.positions, total_charge=charge or 0.0)["energy"]
        assert methanol.get_potential_energy() == pytest.approx(expected / units.EV, rel=1e-12)
    other = AMPCalculator(model, charge=-1.0)
    assert other.get_potential_energy(molecule("CH3OH")) == pytest.approx(methanol.get_potential_energy())


def test_a_committee_gives_means_and_deviations(methanol):
    members = [potential(seed) for seed in (1, 2, 3)]
    methanol.calc = AMPCalculator(members)
    energies, forces = [], []
    for member in members:
        result = member.compute(methanol.numbers, methanol.positions)
        energies.append(result["energy"] / units.EV)
        forces.append(-result["qm_gradients"] / units.EV)
    assert methanol.get_potential_energy() == pytest.approx(np.mean(energies))
    np.testing.assert_allclose(methanol.get_forces(), np.mean(forces, axis=0), atol=1e-12)
    assert methanol.calc.results["energy_std"] == pytest.approx(np.std(energies))
    assert methanol.calc.export_properties()["energy"] == pytest.approx(np.mean(energies))  # ASE refuses what it does not know
    np.testing.assert_allclose(methanol.calc.results["forces_std"], np.std(forces, axis=0), atol=1e-12)


def waters(n: int, random: np.random.Generator, distances) -> np.ndarray:
    """Positions of water molecules, oxygen first, [3 n, 3]; the oxygens in random directions at these distances from the origin."""
    angle = np.radians(thetaHOH)
    water = rOH * np.array([[0, 0, 0], [1, 0, 0], [np.cos(angle), np.sin(angle), 0]])
    found = []
    for distance in distances[:n]:
        rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
        direction = random.normal(size=3)
        found.append(water @ rotation.T + distance * direction / np.linalg.norm(direction))
    return np.concatenate(found)


@pytest.mark.parametrize("zone", [Zone(14.0, 2.0), Zone(6.0, 3.0)])
@pytest.mark.parametrize(("water", "sites"), [(TIP3P, 3), (TIP4P, 4)])
def test_embedded_forces_are_those_of_the_energy(water, sites, zone, methanol):
    """Six waters, with the smaller zone also at its edge; the energy moves when MM atoms alone do."""
    random = np.random.default_rng(3)
    around = Atoms("OHH" * 6, waters(6, random, np.linspace(3.6, 7.5, 6)))
    atoms = methanol + around
    n_qm = len(methanol)
    lj = LJInteractions({("O", "O"): (epsilon0, sigma0), ("C", "O"): (epsilon0, sigma0)})
    calculator = AMPCalculator(potential(), zone=zone)
    atoms.calc = EIQMMM(range(n_qm), calculator, water(rc=9.0), lj, embedding=Embedding(sites_per_molecule=sites))
    atoms.center(vacuum=12.0)
    atoms.pbc = True
    before, forces = atoms.get_potential_energy(), atoms.get_forces()
    for atom in (0, 3, n_qm, n_qm + 1, n_qm + 6, n_qm + 9, n_qm + 12, n_qm + 15, n_qm + 17):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.calc = atoms.calc
                moved.positions[atom, axis] += sign * 1e-5
                energies.append(moved.get_potential_energy())
            assert forces[atom, axis] == pytest.approx((energies[1] - energies[0]) / 2e-5, abs=1e-5)
    atoms.positions[n_qm + 3 : n_qm + 6] += [0.2, 0.0, 0.0]
    assert abs(atoms.get_potential_energy() - before) > 1e-4
    small = atoms.copy()
    embedding = Embedding(sites_per_molecule=sites, cell=10.0 * np.eye(3))
    small.calc = EIQMMM(range(n_qm), calculator, water(rc=9.0), lj, embedding=embedding)
    with pytest.raises(InputError, match="take a larger box or a smaller zone"):
        small.get_potential_energy()


def test_molecules_are_imaged_whole_in_any_cell(methanol):
    """A molecule moved by vectors of a skewed box gives the same energy and forces."""
    random = np.random.default_rng(4)
    cell = np.array([[24.0, 0, 0], [8.0, 23.0, 0], [-6.0, 9.0, 22.0]])
    positions, charges, molecules = waters(5, random, np.linspace(3.5, 6.0, 5)), np.tile([-0.8, 0.4, 0.4], 5), np.arange(15) // 3
    calculator = AMPCalculator(potential(), zone=Zone(7.0, 2.0))
    expected = calculator.calculate_embedded(methanol, positions, charges, molecules)
    moved = positions + np.repeat(random.integers(-2, 3, size=(5, 3)) @ cell, 3, axis=0)
    found = calculator.calculate_embedded(methanol, moved, charges, molecules, cell)
    assert found["energy"] == pytest.approx(expected["energy"], abs=1e-10)
    np.testing.assert_allclose(found["mm_forces"], expected["mm_forces"], atol=1e-9)
    with pytest.raises(InputError, match=r"the box is .* wide, and a zone of 12 angstrom around these QM atoms needs"):
        AMPCalculator(potential(), zone=Zone(12.0)).calculate_embedded(methanol, moved, charges, molecules, cell)


def test_an_empty_zone_is_a_molecule_alone(methanol):
    positions, charges, molecules = waters(2, np.random.default_rng(5), [40.0, 60.0]), np.tile([-0.8, 0.4, 0.4], 2), np.arange(6) // 3
    calculator = AMPCalculator(potential(), zone=Zone(7.0, 2.0))
    found = calculator.calculate_embedded(methanol, positions, charges, molecules)
    methanol.calc = AMPCalculator(potential())
    assert found["energy"] == pytest.approx(methanol.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(found["forces"], methanol.get_forces(), atol=1e-9)
    assert np.all(found["mm_forces"] == 0.0)
    assert found["mm_forces"].shape == (6, 3)


def test_dynamics_can_be_stopped_where_the_training_data_end(methanol):
    """Alone and embedded; without a margin there is a warning."""
    model, water = potential(), waters(1, np.random.default_rng(6), [4.0])
    charges, molecules = np.array([-0.8, 0.4, 0.4]), np.zeros(3, dtype=int)
    model.training_ranges = training_ranges([System(methanol.numbers, methanol.positions, 0.0, water, charges)])
    calculator = AMPCalculator(model, margin=0.1)
    calculator.get_potential_energy(methanol)
    calculator.calculate_embedded(methanol, water, charges, molecules)
    near, stretched = water - 0.3 * water[0], methanol.copy()
    stretched.positions[0] += [0.0, 0.0, 0.6]
    with pytest.raises(SimulationError, match=r"not to be asked more than 0\.1 angstrom beyond"):
        calculator.calculate_embedded(methanol, near, charges, molecules)
    with pytest.raises(SimulationError, match=r"not to be asked more than 0\.1 angstrom beyond"):
        calculator.get_potential_energy(stretched)
    with pytest.warns(UserWarning, match="outside the training data|the training data have"):
        AMPCalculator(model).get_potential_energy(stretched)


def test_what_cannot_be_computed_is_said(methanol, tmp_path):
    for margin in (-0.1, float("nan")):
        with pytest.raises(InputError, match="margin must not be negative"):
            AMPCalculator(potential(), margin=margin)
    with pytest.raises(DataFileError, match="no such file"):
        AMPCalculator(tmp_path / "none.keras")
    with pytest.raises(InputError, match="at least one potential"):
        AMPCalculator([])
    blind = AMPCalculator(potential(direct_polarization=False, pairwise_coulomb=False, near_cutoff=None))
    with pytest.raises(InputError, match="does not embed charges"):
        blind.embed([0.1, -0.1], 2)
    with pytest.raises(InputError, match="no whole number of molecules of 3"):
        AMPCalculator(potential()).embed([0.1, -0.1])
    with pytest.raises(InputError, match="MM molecules of 3 sites are not neutral"):
        AMPCalculator(potential()).embed(np.tile([0.0, 0.5564, 0.5564, -1.1128], 3))
    with pytest.raises(InputError, match="must be finite and larger than the width"):
        Zone(2.0, 3.0)
    methanol.pbc, methanol.cell = True, np.eye(3) * 20
    with pytest.raises(InputError, match=r"set atoms\.pbc = False"):
        AMPCalculator(potential()).get_potential_energy(methanol)
