"""What a potential knows of its training data: distances and charges, and what is outside of them."""

import re
import warnings

import keras
import numpy as np
import pytest

import amp_tf
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.pipeline import Frames
from amp_tf.errors import InputError
from amp_tf.models.ranges import REACH, TrainingRanges, only_molecule, training_molecule, training_ranges
from amp_tf.systems import System
from datasets.qmmm_solutes import SHIPPED_FILE

WATER = np.array([8, 1, 1])


def water(bond=0.96, mm_positions=None, mm_charges=None):
    positions = np.array([[0.0, 0.0, 0.0], [bond, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    return System(WATER, positions, 0.0, mm_positions, mm_charges)


@pytest.fixture(scope="module")
def frames():
    return Frames.from_reference_data(read_reference_data(SHIPPED_FILE))


@pytest.fixture(scope="module")
def uracil(frames):
    return training_ranges(frames.systems)


def test_ranges_of_two_waters_by_hand():
    ranges = training_ranges([water(0.95, [[0.95, 2.0, 0.0], [0.0, -2.5, 0.0]], [-0.8, 0.4]), water(1.45)])
    assert ranges.distances["H-O"] == [(0.94, 0.98), (1.44, 1.46)]
    assert set(ranges.distances) == {"H-H", "H-O"}
    assert ranges.neighbours == {"H": 1.45, "O": pytest.approx(0.96, abs=2e-3)}
    assert ranges.negative == {"H": pytest.approx(np.hypot(1.19, 1.07), abs=1e-3), "O": pytest.approx(np.hypot(0.95, 2.0), abs=1e-3)}
    assert ranges.positive == {"O": 2.5, "H": pytest.approx(np.hypot(0.95, 2.5), abs=1e-3)}
    assert ranges.mm_charges == (-0.8, 0.4)


def test_ranges_in_words():
    lines = dict(training_ranges([water(0.95, [[0.95, 2.0, 0.0], [0.0, -2.5, 0.0]], [-0.8, 0.4]), water(1.45)]).lines())
    assert lines["trained on H...O"] == "0.94 to 0.98 and 1.44 to 1.46 angstrom"
    assert lines["trained on negative charges"] == "as close as H 1.60, O 2.21 angstrom"
    assert lines["trained on MM charges"] == "-0.8 to 0.4 e"


def test_all_training_frames_are_inside(frames, uracil):
    complaints = [uracil.geometry_complaint(system, margin=2e-3) or uracil.charge_complaint(system.mm_charges) for system in frames.systems]
    assert complaints == [None] * len(frames)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0.7, r"atom \d+ \(C\) and atom 8 \(H\) are 0.70 angstrom apart; the training data have 1.00 to 1.18 and 1.90 to 2.28"),
        (1.5, r"atom \d \(C\) and atom 8 \(H\) are 1.50 angstrom apart"),
        (60.0, r"atom 8 \(H\) is \d\d\.\d\d angstrom from the atom closest to it; the training data have up to 1\.\d\d"),
    ],
)  # fmt: skip
def test_a_stretched_bond_is_named(frames, uracil, length, words):
    system = frames.systems[0]
    hydrogens = np.flatnonzero(system.atomic_numbers == 1)
    carbons = np.flatnonzero(system.atomic_numbers == 6)
    distances = np.linalg.norm(system.positions[hydrogens, None] - system.positions[carbons], axis=-1)
    hydrogen, carbon = hydrogens[distances.min(axis=1).argmin()], carbons[distances[distances.min(axis=1).argmin()].argmin()]
    positions = system.positions.copy()
    positions[hydrogen] = positions[carbon] + length * (positions[hydrogen] - positions[carbon]) / distances.min()
    complaint = uracil.geometry_complaint(System(system.atomic_numbers, positions))
    assert re.match(words.replace("atom 8", f"atom {hydrogen}"), complaint), complaint
    assert uracil.geometry_complaint(System(system.atomic_numbers, positions), margin=np.inf) is None


def test_a_charge_too_close_is_named(frames, uracil):
    system = frames.systems[0]
    oxygen = int(np.flatnonzero(system.atomic_numbers == 8)[0])
    nearest = np.argsort(np.linalg.norm(system.positions - system.positions[oxygen], axis=1))[1]
    outwards = system.positions[oxygen] - system.positions[nearest]
    close = system.positions[oxygen] + 1.2 * outwards / np.linalg.norm(outwards)
    complaint = uracil.geometry_complaint(System(system.atomic_numbers, system.positions, 0.0, [close], [-0.8]))
    assert complaint.startswith(f"MM particle 0 (-0.8 e) is 1.20 angstrom from atom {oxygen} (O); the training data have 2.")
    both = System(system.atomic_numbers, system.positions, 0.0, [close + 0.1 * outwards, close], [-0.8, -0.8])
    assert uracil.geometry_complaint(both, particles=np.array([70, 90])).startswith("MM particle 90 (-0.8 e) is 1.20 angstrom")


def test_other_charges_are_told_with_the_numbers(uracil):
    assert uracil.charge_complaint(np.array([-0.834, 0.417, 0.0])) is None
    assert uracil.charge_complaint(np.array([-1.04, 0.52])) == ("MM charges of -1.04 to 0.52 e; the training data have -0.8476 to 0.4238 e")


def test_ranges_of_further_training_are_those_of_both():
    first, second = training_ranges([water(0.95)]), training_ranges([water(1.45, [[0.0, -2.5, 0.0]], [0.4])])
    both = training_ranges([water(0.95), water(1.45, [[0.0, -2.5, 0.0]], [0.4])])
    assert first.merged(second) == second.merged(first) == both


def potential(ranges, **settings):
    keras.utils.set_random_seed(0)
    sizes = {"n_layers": 1, "n_features": 8, "n_radial_weights": 2, "direct_polarization": True, "near_cutoff": 4.0}
    return amp_tf.AMP(("H", "O"), 1, provenance={"ranges": ranges}, **sizes | settings)


def test_compute_warns_once_of_geometries_and_once_of_charges():
    model = potential(training_ranges([water(0.95, [[0.0, -2.5, 0.0]], [0.4])]).model_dump())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.compute(WATER, water(0.96).positions, [[0.0, -2.5, 0.0]], [0.4])
    with pytest.warns(UserWarning, match=r"atom 0 \(O\) and atom 1 \(H\) are 1.30 angstrom apart; .* extrapolation") as told:
        model.compute(WATER, water(1.3).positions)
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match="MM charges of 1 to 1 e; the training data have 0.4 to 0.4 e"):
        model.compute(WATER, [water(0.96).positions] * 2, [[[0.0, -4.0, 0.0]]] * 2, [[1.0], [1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.compute(WATER, water(1.3).positions, [[0.0, -4.0, 0.0]], [1.0])


@pytest.mark.parametrize("damage", [{"distances": 1}, {"mm_charges": [float("nan"), 1.0]}, {"unknown": {}}, {"neighbours": {"H": -1.0}}])
def test_damaged_ranges_are_refused(damage):
    with pytest.raises(InputError, match="ranges of the training data are damaged"):
        potential(training_ranges([water()]).model_dump() | damage)


def test_the_molecule_that_all_data_are_of():
    methane = np.array([[0.0, 0, 0], [0.63, 0.63, 0.63], [-0.63, -0.63, 0.63], [0.63, -0.63, -0.63], [-0.63, 0.63, -0.63]])
    apart = System(np.array([8, 1, 1, 6, 1, 1, 1, 1]), np.concatenate([water().positions, methane + [0.0, 0.0, 4.0]]))
    two = System(np.tile(WATER, 2), np.concatenate([water().positions, water().positions + [0.0, 0.0, 3.0]]))
    assert only_molecule([water(2.0), water(0.95), water(1.0)]).positions[1] == (0.95, 0.0, 0.0)  # not the broken one
    assert only_molecule([apart, apart]).atomic_numbers == apart.atomic_numbers.tolist()  # a complex of different molecules
    assert only_molecule([two, two]) is None  # a cluster
    among = water(0.95, [[0.0, 0.0, 3.0]], [0.4])
    assert [only_molecule(systems).is_alone for systems in ([among, among], [among, water()])] == [False, True]
    assert only_molecule([water(), apart]) is None
    assert only_molecule([water(), System(WATER, water().positions, 1.0)]) is None
    cyanide, isocyanide = (System(np.array([6, 7, 1]), np.array([[0.0, 0, 0], [0, 0, 1.16], [0, 0, z]]), 0.0) for z in (-1.07, 2.16))
    assert only_molecule([cyanide, isocyanide]) is None


def test_a_damaged_molecule_is_refused():
    known = only_molecule([water()])
    assert training_molecule({"molecule": known.model_dump()}) == known
    assert known.merged(only_molecule([water(1.0)])) == known
    assert known.merged(None) is None
    among = only_molecule([water(0.95, [[0.0, 0.0, 3.0]], [0.4])])
    assert not among.merged(among).is_alone
    assert among.merged(known).is_alone
    with pytest.raises(InputError, match="the molecule of the training data is damaged"):
        training_molecule({"molecule": "water"})


def test_an_ensemble_knows_the_molecule_that_all_its_members_know():
    known = only_molecule([water()]).model_dump(mode="json")
    sizes = {"n_layers": 1, "n_features": 4, "n_radial_weights": 2}
    records = [{"molecule": known}, {"molecule": known}, {}]
    with_it, other, without = (amp_tf.AMP(("H", "O"), 1, provenance=record, **sizes) for record in records)
    assert amp_tf.Ensemble([with_it, other]).provenance["molecule"] == known
    assert "molecule" not in amp_tf.Ensemble([with_it, without]).provenance


def test_far_pairs_and_other_elements_are_no_matter(uracil):
    two = np.concatenate([water().positions, water().positions + [0.0, 0.0, REACH + 2.0]])
    assert training_ranges([water()]).geometry_complaint(System(np.tile(WATER, 2), two)) is None
    assert uracil.geometry_complaint(System(np.array([9, 9]), np.array([[0.0, 0.0, 0.0], [1.4, 0.0, 0.0]]))) is None
    assert isinstance(uracil, TrainingRanges)
