"""The tests bite: each finds what a toy has wrong, and nothing else; what is right passes."""

import functools

import keras
import numpy as np
import pytest
from scipy.spatial.distance import pdist

import amp_tf
from amp_tf.errors import InputError
from amp_tf.interfaces.ase import AMPCalculator
from amp_tf.physics import check_physics, conservation
from amp_tf.physics.bench import Bench
from amp_tf.physics.molecules import water
from amp_tf.physics.noise import measured_noise
from amp_tf.physics.subject import MEV, Molecule, Subject
from tests.physics import toys

TESTS = "quick,locality,diatomics,wall,torsion,bend,cyclobutadiene,charge"


@pytest.fixture(scope="module")
def smooth():
    return check_physics(toys.Smooth(), [toys.tetrahedron()], [*TESTS.split(","), "nve"])


def test_a_smooth_pair_potential_passes_all_but_chemistry(smooth):
    for group in ("symmetry", "conservation", "locality"):
        assert smooth.verdict(group) == "pass", [row for row in smooth.rows if row.verdict not in ("pass", "information")]
    assert smooth.verdict("wall") == "pass"
    assert smooth.verdict("nve") == "pass"


@pytest.mark.parametrize(
    ("toy", "roots", "follows"),
    [
        (toys.PrefersAnOrientation, {"rotation"}, {"mirror", "torsion", "cyclobutadiene"}),
        (toys.ForcesOfNoEnergy, {"gradient", "loop"}, {"jacobian"}),
        (toys.Handed, {"mirror"}, {"torsion"}),
        (toys.CountsAtoms, {"permutation"}, {"extensivity"}),
        (toys.ConstantPerSystem, {"extensivity"}, set()),
        (toys.AbruptCutoff, {"cutoff"}, set()),
        (toys.Hole, {"wall"}, set()),
        (toys.StaleCache, {"charge"}, set()),
        (toys.KeepsResults, {"charge"}, set()),
    ],
)
def test_a_toy_fails_what_it_has_wrong_and_no_other(toy, roots, follows, smooth):
    found = check_physics(toy(), tests=TESTS)
    not_for_pairs = {(row.test, row.metric, row.molecule) for row in smooth.rows if row.verdict == "fail"}
    failing = [row for row in found.rows if row.verdict == "fail" and (row.test, row.metric, row.molecule) not in not_for_pairs]
    assert {row.test for row in failing if not row.follows_from} == roots
    assert {row.test for row in failing if row.follows_from} - roots == follows
    assert not [row for row in found.rows if row.verdict == "error"]


def test_forces_of_no_energy_heat_dynamics():
    found = check_physics(toys.WeakForcesOfNoEnergy(), [toys.tetrahedron()], "gradient,nve,momentum")
    assert (found.verdict("gradient"), found.verdict("nve"), found.verdict("momentum")) == ("fail", "fail", "pass")
    assert found.failures(roots=True) == ["gradient"]


@pytest.mark.parametrize(
    ("slopes", "error", "verdict"),
    [
        ((-0.02, 0.04, 0.001), 1e-3, "pass"),
        ((-0.02, 0.04, 0.03), 1e-3, "warn"),
        ((-0.02, 0.04, 0.2), 1e-3, "fail"),
        ((0.03, 0.03, 0.03), 0.016, "warn"),  # which the error of the third run alone would excuse
        ((3.2, 0.8, 0.2), 1e-3, "inconclusive"),
    ],
)
def test_a_drift_that_half_the_step_removes_is_the_integrators(slopes, error, verdict, monkeypatch):
    found = dict(zip((0.5, 0.25, 0.125), slopes, strict=True))

    def run(bench, molecule, step, picoseconds):
        return conservation.Outcome(found[step] * MEV, (error if step < 0.2 else 1e-3) * MEV, 0.5 * step**2 * MEV, False, 1.0)

    monkeypatch.setattr(conservation, "_run", run)
    assert check_physics(toys.Smooth(), [toys.tetrahedron()], "nve").verdict("nve") == verdict


def test_a_bond_that_breaks_at_the_finest_step_fails(monkeypatch):
    def run(bench, molecule, step, picoseconds):
        return conservation.Outcome((0.04 if step > 0.2 else 0.001) * MEV, 1e-3 * MEV, 0.5 * step**2 * MEV, step < 0.2, 1.0)

    monkeypatch.setattr(conservation, "_run", run)
    found = check_physics(toys.Smooth(), [toys.tetrahedron()], "nve")
    assert found.verdict("nve") == "fail"
    assert [row.metric for row in found.rows if row.verdict == "fail"] == ["a bond broke at 0.125 fs"]


def test_rounding_is_inconclusive_and_no_failure():
    found = check_physics(toys.Rounded(), tests="symmetry,gradient,loop,extensivity")
    assert found.failures() == []
    assert {found.verdict(name) for name in ("translation", "rotation", "mirror", "permutation", "gradient")} == {"inconclusive"}
    assert found.verdict("loop") == "pass"
    assert "float64" in next(row.note for row in found.rows if row.test == "rotation" and row.verdict == "inconclusive")


def test_rounding_of_far_positions_is_no_failure():
    found = check_physics(toys.RoundedPositions(), [toys.tetrahedron()], "extensivity")
    assert found.verdict() in ("pass", "inconclusive"), found.rows


def test_noise_far_away_is_that_of_positions_rounded_anew():
    own = toys.tetrahedron()
    near, far = (own.at(1.05 * own.positions + shift) for shift in (0.0, 1000.0))
    noises = [measured_noise(Subject(toys.RoundedPositions(), "rounded"), one, np.random.default_rng(0)).forces for one in (near, far)]
    assert noises[1] > 100.0 * noises[0] > 0.0


def test_rounding_where_a_geometry_is_moved_to_is_no_failure():
    found = check_physics(toys.RoughFarOut(), [toys.tetrahedron()], "mirror")
    rows = {row.molecule: row.verdict for row in found.rows if row.metric == "forces"}
    assert rows["tetrahedron, rattled"] == "inconclusive"
    assert rows["acetamide"] == "pass"


def test_rounding_behind_a_float_is_no_failure_either():
    found = check_physics(toys.RoundedBehindAFloat(), tests="translation,rotation,mirror,permutation")
    assert found.failures() == []


def test_what_dipoles_leave_far_away_is_no_defect():
    """Copies must stand far enough apart: at 30 angstrom the higher moments of eight waters would not pass."""
    found = check_physics(toys.WaterOfCharges(), tests="extensivity")
    assert found.verdict("extensivity") == "pass"


def test_walls_are_judged_from_the_bond_inward():
    """Where the hole is the only minimum, and where points inside are lost."""
    assert check_physics(toys.NothingInside(), tests="wall").verdict() == "fail"
    lost = check_physics(toys.LosesCrowdedPoints(), tests="wall")
    assert lost.verdict() == "inconclusive"
    assert "points were lost" in lost.rows[0].note


def test_three_atoms_are_their_own_mirror_image():
    """A potential of water alone is looked at on two waters."""

    def of_water_alone(molecule):
        return None if molecule.elements <= {"O", "H"} else "it is a potential of water"

    class OfWater(toys.Handed):
        def changed(self, energy, forces, numbers, positions):
            if not set(numbers) <= {1, 8}:
                raise ValueError("only water")
            return super().changed(energy, forces, numbers, positions)

    found = check_physics(Subject(OfWater(), "water", of_water_alone), tests="mirror")
    assert found.verdict() == "fail"
    assert {row.molecule for row in found.rows} == {"two waters"}


def test_a_calculator_that_raises_loses_points_and_no_other_tests():
    found = check_physics(toys.RaisesWhereCrowded(), tests="rotation,diatomics,wall,loop")
    assert found.verdict("rotation") == "pass"
    assert found.verdict("wall") == "pass"
    with pytest.raises(InputError, match=r"computes none of the molecules.*no weights"):
        check_physics(toys.RaisesAlways(), tests="rotation")


def test_untrained_amp_passes_in_double_precision():
    keras.utils.set_random_seed(1)
    settings = {"n_layers": 1, "n_features": 8, "n_radial_weights": 4, "dtype": "float64"}
    potential = amp_tf.AMP(("C", "H", "N", "O"), max_order=2, **settings)
    found = check_physics(AMPCalculator(potential), tests="quick,extensivity")
    assert {found.verdict(group) for group in ("symmetry", "conservation", "locality")} == {"pass"}


def test_the_papers_abrupt_edges_fail_at_the_cutoff():
    keras.utils.set_random_seed(1)
    settings = {"n_layers": 1, "n_features": 8, "n_radial_weights": 4, "dtype": "float64", "message_cutoff": "none"}
    potential = amp_tf.AMP(("H", "O"), max_order=2, **settings)
    potential.set_weights([3.0 * weights for weights in potential.get_weights()])
    assert check_physics(AMPCalculator(potential), tests="cutoff").verdict() == "fail"


def for_four_atoms(molecule):
    return None if len(molecule.numbers) == 4 else "it is for four atoms"


@pytest.mark.parametrize(
    ("embed", "verdict", "fails_at"),
    [
        (toys.embedded, "pass", []),
        (functools.partial(toys.embedded, until=5.0), "fail", [""]),
        (functools.partial(toys.embedded, until=40.0), "fail", [" far away"]),
        (functools.partial(toys.embedded, lost=True), "warn", []),
    ],
)
def test_a_charge_that_stops_acting_abruptly_fails_at_the_cutoff(embed, verdict, fails_at):
    """A potential of one molecule, which two waters tell nothing of, but a charge that leaves it does."""
    own = toys.tetrahedron()
    found = check_physics(Subject(toys.Smooth(), "smooth", for_four_atoms, embed, own), tests="cutoff")
    assert found.verdict() == verdict, found.rows
    name = f"{own.name}, rattled, and 0.4 e"
    assert sorted({row.molecule for row in found.rows if row.verdict == "fail"}) == [f"{name}{where}" for where in fails_at]
    assert {row.molecule for row in found.rows} == {name, f"{name} far away"}


@pytest.mark.parametrize(("of_each", "verdict"), [(0.0, "pass"), (1e-2, "fail")])
def test_particles_that_act_without_a_charge_fail(of_each, verdict):
    """``of_each`` eV of a particle, whatever its charge, as where a network sees that it is there."""
    own, alone = toys.tetrahedron(), Subject(toys.Smooth(), "smooth")

    def embed(molecule, places, charges):
        energy, forces = alone.both(molecule)
        added, on_atoms, on_charges = toys.embedded(molecule, places, charges)
        return energy + added + of_each * len(charges), forces + on_atoms, on_charges

    found = check_physics(Subject(toys.Smooth(), "smooth", for_four_atoms, embed, own), tests="embedding")
    assert {row.metric for row in found.rows if row.verdict == "fail"} == ({"E(charges of 0) - E(alone)"} if of_each else set())
    assert found.verdict() == verdict, found.rows


def test_a_potential_of_one_water_is_not_asked_of_two():
    def one_water(molecule):
        return None if len(molecule.numbers) == 3 else "it is for three atoms"

    found = check_physics(Subject(toys.Smooth(), "smooth", one_water, None, water(104.5)), tests="cutoff")
    assert found.verdict() == "not applicable", found.rows


def test_a_potential_of_one_molecule_is_examined_on_that_alone():
    own = toys.tetrahedron()
    found = check_physics(Subject(toys.Smooth(), "smooth", for_four_atoms, None, own), [own], "quick,locality,diatomics,homometric")
    assert {found.verdict(test) for test in ("translation", "mirror", "loop", "jacobian", "extensivity")} == {"pass"}
    assert all("tetrahedron, rattled" in row.molecule for row in found.rows if row.molecule)
    for test in ("cutoff", "diatomics", "homometric"):
        assert found.verdict(test) == "not applicable"
        assert "four atoms" in next(row.note for row in found.rows if row.test == test)
    two = Molecule("pair", own.numbers[:2], own.positions[:2], is_own=True)
    with pytest.raises(InputError, match=r"pair is not in the training data of smooth \(it is for four atoms\)"):
        check_physics(Subject(toys.Smooth(), "smooth", for_four_atoms, None, own), [two], "rotation")


def test_a_molecule_that_is_always_among_charges_is_not_asked_for_its_chemistry_alone():
    own = toys.tetrahedron()
    found = check_physics(Subject(toys.Smooth(), "smooth", for_four_atoms, None, own, needs_charges=True), tests="loop,nve,stretch")
    assert [found.verdict(test) for test in ("loop", "nve", "stretch")] == ["pass", "not applicable", "not applicable"]
    assert {row.note for row in found.rows if row.test == "nve"} == {"its training data have no molecule without charges around it"}


def test_own_molecules_are_moved_less_where_the_calculator_is_not_for_that():
    own = toys.tetrahedron()

    def stiff(molecule):
        return "too far" if np.abs(molecule.positions - own.positions).max() > 0.02 else None

    (found,) = Bench(Subject(toys.Smooth(), "smooth", stiff, None, own), [own]).molecules()
    assert 0.0 < np.abs(found.positions - own.positions).max() <= 0.02


def test_dynamics_that_leave_the_training_data_are_told():
    own = toys.tetrahedron()

    def stiff(molecule):
        return "atoms are too far" if np.ptp(pdist(molecule.positions)) > 0.05 else None

    found = check_physics(Subject(toys.Smooth(), "smooth", stiff, None, own), tests="nve")
    assert found.verdict() == "warn"
    assert [row.metric for row in found.rows] == [f"it left its training data at {step:g} fs" for step in conservation.MD_STEPS]
    assert "ps: atoms are too far" in found.rows[0].note


def test_dynamics_are_judged_until_they_leave_the_training_data():
    own = toys.tetrahedron()

    def until(molecule):
        return "atoms are too far" if np.ptp(pdist(molecule.positions)) > 0.3 else None

    found = check_physics(Subject(toys.WeakForcesOfNoEnergy(), "weak", until, None, own), tests="nve")
    assert any("atoms are too far" in row.note for row in found.rows), found.rows
    assert found.verdict() == "fail"


def test_a_minimum_outside_the_training_data_is_told():
    own = toys.tetrahedron()
    wide = own.at(1.1 * own.positions)

    def longer(molecule):
        return "atoms are too near" if pdist(molecule.positions).min() < 1.03 * pdist(own.positions).min() else None

    found = check_physics(Subject(toys.Smooth(), "smooth", longer, None, wide), tests="nve")
    assert found.rows[0].metric == "where it is relaxed"
    assert found.rows[0].verdict == "warn"


def test_a_stretch_ends_where_the_training_data_do():
    """And does not go on where other pairs of atoms have such distances."""
    own = Molecule("pair", np.array([6, 6]), np.array([[0.0, 0.0, 0.0], [1.52, 0.0, 0.0]]), is_own=True)

    def known(molecule):
        lengths = pdist(molecule.positions)
        return None if len(lengths) == 1 and (lengths[0] < 2.0 or lengths[0] > 2.5) else "no such bond"

    found = check_physics(Subject(toys.Smooth(), "smooth", known, None, own), [own], "stretch")
    assert any("end at 0.45 angstrom longer" in row.note for row in found.rows), found.rows
