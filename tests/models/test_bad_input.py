"""Settings and systems that a potential cannot take get one clear sentence."""

import numpy as np
import pytest

import amp_tf
from amp_tf.errors import InputError
from tests.models.test_potentials import make

POLARIZED = {"direct_polarization": True, "pairwise_coulomb": True}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_order": -1}, "max_order must be a whole number of at least 0, got -1"),
        ({"max_order": 2.0}, "max_order must be a whole number"),
        ({"cutoff": "5"}, "cutoff must be positive and finite, got '5'"),
        ({"cutoff": np.inf}, "cutoff must be positive and finite"),
        ({"n_radial": 0}, "n_radial must be a whole number of at least 1"),
        ({"coefficient_scale": np.nan}, "coefficient_scale must be positive"),
        ({"pairwise_coulomb": "no"}, "pairwise_coulomb must be true or false"),
        ({"elements": ("X",)}, "elements must be distinct chemical symbols"),
        ({"atomic_energies": {"H": np.nan}}, "atomic_energies hold NaN"),
        ({"cutoff": 0.0}, "cutoff must be positive"),
        ({"elements": ("H", "Xx")}, "elements must be distinct chemical symbols"),
        ({"elements": ("H", "H")}, "elements must be distinct"),
        ({"elements": ()}, "elements must be distinct"),
        ({"message_cutoff": "cosine"}, "message_cutoff must be 'smooth' or 'none'"),
        ({"long_range_partners": "all"}, "long_range_partners must be"),
        ({"long_range_cutoff": -1.0}, "long_range_cutoff must be positive"),
        ({**POLARIZED, "near_cutoff": 0.0}, "near_cutoff must be positive and finite"),
        ({**POLARIZED, "near_cutoff": 60.0}, r"near_cutoff \(60 angstrom\) must not be above long_range_cutoff \(50 angstrom\)"),
        ({"near_cutoff": 4.0}, "near_cutoff is for MM particles that polarize"),
        ({**POLARIZED, "near_cutoff": 4.0, "max_order": 0}, "near_cutoff is for MM particles that polarize"),
        ({**POLARIZED, "near_cutoff": 4.0, "long_range_partners": "qm"}, "near_cutoff is for MM particles that polarize"),
        ({"n_layers": 0}, "n_layers must be a whole number of at least 1"),
        ({"dtype": "float16"}, "dtype must be one of float32, float64"),
        ({"atomic_energies": {"N": 1.0}}, r"\['N'\], not an element of the model"),
    ],
)
def test_settings(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        amp_tf.AMP(**{"elements": ("H", "O"), "n_features": 4, **settings})


@pytest.fixture(scope="module")
def potential():
    return make("AMP(1)", "float32")


WATER = (np.array([8, 1, 1]), np.array([[0.0, 0, 0], [0.76, 0, -0.59], [-0.76, 0, -0.59]]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.array([7, 1, 1]), WATER[1]), "the model knows H, C, O, not N"),
        ((WATER[0], WATER[1] * np.nan), "NaN or infinite"),
        ((WATER[0], np.zeros((3, 3))), "lie on one point"),
        ((WATER[0], WATER[1][:, :2]), "positions have shape"),
        (([WATER[0]], [WATER[1], WATER[1]]), "2 systems were given, but atomic_numbers has 1"),
        ((None, None), "atomic_numbers must be"),
        ((8, [WATER[1]]), "atomic_numbers must have one entry"),
        ((*WATER, None, None, 1.0), "does not see the total charge"),
        ((*WATER, None, None, [0.0]), "total_charge must be one number"),
        (([], []), "give at least one"),
        ((*WATER, np.zeros((1, 3)) + 5.0, np.ones(1)), "no term for MM particles"),
    ],
)
def test_systems(potential, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        potential.compute(*arguments)


EMBEDDED = make("AMP(2)-DP", "float32")


@pytest.mark.parametrize(
    ("mm_positions", "mm_charges", "sentence"),
    [
        ([[0.0, 0.0, 0.4]], [1.0], "MM particle 0 is 0.400 angstrom from QM atom 0, less than 0.5"),
        ([[0.0, 0.0, 5.0]], [1.0, 2.0], r"mm_positions \[1, 3\] and mm_charges \[2\] must be"),
        ([[0.0, 0.0, 5.0]], [np.nan], "mm_charges holds NaN"),
        ([[0.0, np.inf, 5.0]], [1.0], "mm_positions holds NaN or infinite"),
        ([[0.0, 0.0, 5.0]], None, "mm_positions and mm_charges come together"),
    ],
)
def test_mm_particles(mm_positions, mm_charges, sentence):
    with pytest.raises(InputError, match=sentence):
        EMBEDDED.compute(*WATER, mm_positions, mm_charges)


def test_charges_that_do_not_sum_as_declared():
    with pytest.warns(UserWarning, match=r"the MM charges sum to \+0.25 e, declared are \+0 e"):
        EMBEDDED.compute(*WATER, [[0.0, 0.0, 5.0]], [0.25], mm_total_charge=0.0)
    with pytest.raises(InputError, match="mm_total_charge holds NaN"):
        EMBEDDED.compute(*WATER, [[0.0, 0.0, 5.0]], [0.25], mm_total_charge=np.nan)


def test_a_model_without_dipoles_and_coulomb_refuses_mm_particles():
    """-D alone does nothing at order 0."""
    blind = amp_tf.AMP(("H", "O"), max_order=0, direct_polarization=True, n_features=4)
    with pytest.raises(InputError, match="no term for MM particles"):
        blind.compute(*WATER, [[0.0, 0.0, 5.0]], [0.25])


def test_potentials_of_charges_need_a_model_that_sees_them(potential):
    with pytest.raises(InputError, match="this model has no term for MM particles; use one with -D or -P"):
        potential.compute(*WATER, mm_potentials=True)
