"""Settings and systems that a potential cannot take get one clear sentence."""

import numpy as np
import pytest

import amp_tf
from amp_tf.errors import InputError
from tests.models.test_potentials import make


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
