"""Settings and systems that a potential cannot take get one clear sentence."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from openmm import Vec3, unit

import amp_tf
from amp_tf.errors import DataFileError, InputError
from amp_tf.models.results import require_finite
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
        *(
            ({**POLARIZED, "near_cutoff": wrong}, "near_cutoff must be positive and finite, got .*; 4 angstrom is usual, or leave it out")
            for wrong in (0.0, -4.0, float("nan"), float("inf"), True, "4")
        ),
        ({**POLARIZED, "near_cutoff": 60.0}, r"near_cutoff \(60 angstrom\) must not be above long_range_cutoff \(50 angstrom\)"),
        ({"repulsion": 1}, "repulsion must be true or false"),
        ({"repulsion": True, "cutoff": 1.2}, r"repulsion reaches \d\.\d\d angstrom; choose a cutoff of at least that"),
        ({"near_cutoff": 4.0}, "near_cutoff is for MM particles that polarize"),
        ({**POLARIZED, "near_cutoff": 4.0, "max_order": 0}, "near_cutoff is for MM particles that polarize"),
        ({**POLARIZED, "near_cutoff": 4.0, "long_range_partners": "qm"}, "near_cutoff is for MM particles that polarize"),
        ({"n_layers": 0}, "n_layers must be a whole number of at least 1"),
        ({"dtype": "float16"}, "dtype must be one of float32, float64"),
        ({"atomic_energies": {"N": 1.0}}, r"\['N'\], not an element of the model"),
        ({"atomic_energies": {"H": "x"}}, "atomic_energies must give a number for each element"),
        ({"atomic_energies": [1.0, 2.0]}, "atomic_energies must give a number for each element"),
        ({"elements": None}, "elements must be a list of chemical symbols, got None"),
        ({"elements": 8}, "elements must be a list of chemical symbols, got 8"),
        ({"elements": (["H"],)}, "elements must be distinct chemical symbols"),
        ({"provenance": {"file": Path("x")}}, "provenance must hold JSON values alone"),
        ({"n_features": 10**9}, "n_features 1000000000, .*ask for more than 1,000,000,000 weights"),
        ({"n_features": 10**12}, "ask for more than 1,000,000,000 weights"),
        ({"n_layers": 10**9}, "n_layers must be at most 100"),
        ({"max_order": 10**9}, "max_order must be at most 10"),
        ({"n_radial": 10**9}, "n_radial must be at most 10000"),
        ({"n_radial_weights": 10**9}, "n_radial_weights must be at most 10000"),
        ({"n_long_range_weights": 10**12}, "n_long_range_weights must be at most 10000"),
        ({"n_features": 10_000, "n_layers": 100}, "ask for more than 1,000,000,000 weights"),
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


class Foreign:
    """What quantities of pint (``units``) and astropy (``unit``) look like: arrays that NumPy takes without their unit."""

    def __init__(self, values, name):
        self.values = np.asarray(values)
        setattr(self, name, "nanometer")

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or float)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return type(self)(self.values[index], "units")


MM = {"mm_positions": np.array([[0.0, 0.0, 5.0], [1.0, 0.0, 6.0]]), "mm_charges": np.array([0.4, -0.4])}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"positions": Foreign(WATER[1], "units")}, "positions has a unit of its own .Foreign.; convert it to angstrom"),
        ({"positions": Foreign(WATER[1], "unit")}, "positions has a unit of its own"),
        ({"positions": [Foreign(row, "units") for row in WATER[1]]}, "positions has a unit of its own"),
        ({"mm_positions": Foreign(MM["mm_positions"], "units")}, "mm_positions has a unit of its own"),
        ({"mm_charges": Foreign(MM["mm_charges"], "units")}, "mm_charges has a unit of its own .Foreign.; convert it to e"),
        ({"total_charge": Foreign(0.0, "units")}, "total_charge has a unit of its own"),
        ({"positions": WATER[1] * unit.kelvin}, "positions cannot be converted to angstrom"),
        ({"mm_charges": MM["mm_charges"] * unit.nanometer}, "mm_charges cannot be converted to e"),
        ({"positions": np.ma.masked_equal(WATER[1], 0.76)}, "positions holds masked values"),
        ({"positions": np.ma.masked_equal(WATER[1], 0.76).tolist()}, "positions must be"),
        ({"positions": [np.ma.masked_equal(row, 0.76) for row in WATER[1]]}, "positions holds masked values"),
        ({"mm_charges": np.ma.masked_less(MM["mm_charges"], 0)}, "mm_charges holds masked values"),
        ({"positions": {"x": [0.0]}}, "positions must be real numbers"),
        ({"positions": "water.xyz"}, "positions must be real numbers"),
        ({"positions": 3}, "positions have shape"),
        ({"positions": WATER[1].astype("datetime64[s]")}, "positions must be real numbers"),
        ({"positions": WATER[1] > 0}, "positions must be real numbers"),
        ({"total_charge": "x"}, "total_charge must be real numbers"),
        ({"total_charge": [0.0, [1.0, 2.0]]}, "total_charge must be"),
        ({"total_charge": 1e30}, "a total charge of 1e\\+30 e is none of a molecule"),
        ({"mm_total_charge": "x"}, "mm_total_charge must be real numbers"),
        ({"atomic_numbers": ["O", "H", "H"]}, "atomic_numbers must be"),
        ({"mm_positions": MM["mm_positions"] + [[0.0], [1e20]]}, "MM particle 1 is more than 1e\\+06 angstrom from the QM atoms"),
        ({"mm_charges": np.array([0.4, 1e30])}, "MM particle 1 has a charge of 1e\\+30 e"),
        ({"mm_charges": np.array([0.4, np.inf])}, r"mm_charges holds NaN or infinite values \(particle 1\)"),
        ({"positions": WATER[1] + 1e15}, "too far from the origin"),
    ],
)
def test_what_is_no_plain_array(change, sentence):
    with pytest.raises(InputError, match=sentence):
        EMBEDDED.compute(**{"atomic_numbers": WATER[0], "positions": WATER[1], **MM, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"positions": (0.1 * WATER[1]) * unit.nanometer},
        {"positions": [Vec3(*row) for row in 0.1 * WATER[1]] * unit.nanometer},
        {"positions": [Vec3(*row) * unit.nanometer for row in 0.1 * WATER[1]]},
        {"positions": WATER[1] * unit.angstrom, "mm_positions": 0.1 * MM["mm_positions"] * unit.nanometer},
        {"mm_charges": MM["mm_charges"] * unit.elementary_charge, "total_charge": 0 * unit.elementary_charge},
        {"positions": np.ma.masked_equal(WATER[1], 99.0)},
        {"positions": tf.constant(WATER[1]), "mm_charges": [np.float64(0.4), -0.4]},
    ],
    ids=range(7),
)
def test_units_of_openmm_are_converted(change):
    expected = EMBEDDED.compute(*WATER, **MM)
    found = EMBEDDED.compute(**{"atomic_numbers": WATER[0], "positions": WATER[1], **MM, **change})
    assert found["energy"] == pytest.approx(expected["energy"], rel=1e-6)
    np.testing.assert_allclose(found["mm_gradients"], expected["mm_gradients"], atol=1e-5 * np.abs(expected["mm_gradients"]).max())


def test_particles_as_far_apart_as_can_be():
    """What lies beyond the cut-off adds nothing, however far it is and however wide the cut-off."""
    numbers, positions = np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.0], [3000.0, 0.0, 0.0], [0.0, 3000.0, 0.0]])
    nodes = make("GNN, MM nodes", "float32")
    with pytest.warns(UserWarning, match="at no distance of chemistry"):
        apart = nodes.compute(numbers, positions)
    alone = [nodes.compute(numbers[[atom]], np.zeros((1, 3)))["energy"] for atom in range(3)]
    assert apart["energy"] == pytest.approx(sum(alone), abs=1e-4)
    near = {"mm_positions": [[0.0, 0.0, 3.0]], "mm_charges": [0.4]}
    far = {"mm_positions": [*near["mm_positions"], [1e4, 0, 0], [0, -1e4, 0], [1e6, 0, 0]], "mm_charges": [0.4, -0.8, 0.4, 0.4]}
    assert nodes.compute(*WATER, **far)["energy"] == pytest.approx(nodes.compute(*WATER, **near)["energy"], abs=1e-4)
    wide = amp_tf.GNN(("H", "O"), cutoff=1000.0, n_layers=1, n_features=4, mm_types=(-0.8, 0.4))
    assert np.isfinite(wide.compute(*WATER, **far)["energy"])


CARBON_DIOXIDE = (np.array([6, 8, 8]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.16], [0.0, 0.0, -1.16]]))


@pytest.mark.parametrize("molecule", [WATER, CARBON_DIOXIDE])
@pytest.mark.parametrize(("factor", "guess"), [(1.8897, "bohr"), (0.1, "nm")])
def test_positions_in_another_unit_warn(potential, molecule, factor, guess):
    numbers, positions = molecule
    with pytest.warns(UserWarning, match=f"they look like {guess}; give angstrom"):
        potential.compute(numbers, factor * positions)
    with pytest.warns(UserWarning, match=f"system 1: the nearest neighbours of atoms .* {guess}; give angstrom"):
        potential.compute([numbers] * 2, [positions, factor * positions])


def test_stretched_bonds_and_single_atoms_do_not_warn(potential):
    for factor in (0.85, 1.25):
        potential.compute(WATER[0], factor * WATER[1])
    potential.compute(np.array([8]), np.zeros((1, 3)))


def test_one_row_of_atomic_numbers_serves_a_trajectory(potential):
    frames = np.stack([WATER[1], 1.02 * WATER[1]])
    expected = potential.compute([WATER[0]] * 2, frames)
    for numbers in (WATER[0], WATER[0].tolist()):
        for positions in (frames, list(frames)):
            np.testing.assert_array_equal(potential.compute(numbers, positions)["energy"], expected["energy"])


def test_weights_that_are_no_numbers_give_one_sentence(tmp_path):
    broken = make("AMP(2)-DP", "float32")
    broken.embedding.bias.assign(np.full(broken.embedding.bias.shape, np.nan))
    with pytest.raises(InputError, match="system 0: the energy is NaN or infinite; check that the weights"):
        broken.compute(*WATER, **MM)
    broken.save(tmp_path / "broken.keras")
    with pytest.raises(DataFileError, match="weights of the potential are NaN or infinite"):
        amp_tf.load_potential(tmp_path / "broken.keras")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("qm_gradients", "system 1: the gradient of atom 2"), ("mm_gradients", "system 1: the gradient of MM particle 0")],
)
def test_gradients_that_are_no_numbers_name_the_particle(name, sentence):
    systems = [amp_tf.System(*WATER), amp_tf.System(*WATER, 0.0, *MM.values())]
    raw = {"energy": np.zeros(2), "qm_gradients": np.zeros((6, 3)), "mm_gradients": np.zeros((2, 3))}
    require_finite(systems, raw)
    raw[name][-1 if name == "qm_gradients" else 0, 1] = np.inf
    with pytest.raises(InputError, match=sentence):
        require_finite(systems, raw)


@pytest.mark.parametrize("model", [EMBEDDED, make("AMP(3)-DP, near and far", "float32")])
def test_charges_of_zero_may_stand_on_an_atom(model):
    """As the oxygen of four-site water."""
    expected = model.compute(*WATER, **MM)
    for where in (WATER[1][0], WATER[1][1] + 1e-9, WATER[1][1] + 0.1):
        found = model.compute(*WATER, np.vstack([MM["mm_positions"], where]), [*MM["mm_charges"], 0.0])
        assert found["energy"] == pytest.approx(expected["energy"], abs=1e-5)
        np.testing.assert_allclose(found["qm_gradients"], expected["qm_gradients"], atol=1e-3)
        np.testing.assert_array_equal(found["mm_gradients"][-1], 0.0)


def test_polarization_among_the_atoms_sees_the_total_charge():
    """Its charges sum to that, also without -P."""
    settings = {"n_layers": 1, "n_features": 4, "direct_polarization": True, "long_range_partners": "qm", "coefficient_scale": 1.0}
    model = amp_tf.AMP(("H", "O"), 1, provenance={"total_charges": [-1.0]}, **settings)
    assert model.sees_total_charge
    with pytest.raises(InputError, match="trained on total charges of -1 e, not 0 e"):
        model.compute(*WATER)
    assert not amp_tf.AMP(("H", "O"), 1, target="mu", **settings).sees_total_charge  # whose own charges sum to zero


def test_dipoles_are_about_the_centroid():
    near, far = (EMBEDDED.compute(WATER[0], WATER[1] + shift, total_charge=1.0) for shift in (0.0, 1e6))
    np.testing.assert_allclose(far["dipole"], near["dipole"], atol=1e-4)
    np.testing.assert_allclose(near["dipole"], near["charges"] @ (WATER[1] - WATER[1].mean(axis=0)), atol=1e-6)


def test_compute_inside_a_function_of_tensorflow(potential):
    with pytest.raises(InputError, match="compute takes and gives NumPy arrays"):
        tf.function(lambda positions: potential.compute(WATER[0], positions)["energy"])(tf.constant(WATER[1]))


def test_sizes_may_be_numbers_of_numpy(tmp_path):
    sizes = {"n_layers": np.int64(1), "n_features": np.int32(4), "n_radial": np.uint8(5)}
    of_amp = {"max_order": np.int8(1), "n_radial_weights": np.int64(2), "coefficient_scale": np.float32(0.5)}
    for model, settings in ((amp_tf.AMP, sizes | of_amp), (amp_tf.SchNet, sizes | {"n_filters": np.int64(4)})):
        potential = model(np.array(["H", "O"]), cutoff=np.float32(4.0), **settings)
        potential.save(tmp_path / "model.keras")
        assert amp_tf.load_potential(tmp_path / "model.keras").get_config() == potential.get_config()


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
