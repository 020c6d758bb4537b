"""PhysNet against its equations in NumPy, atom by atom and pair by pair; its tails, its charges, and what breaks it."""

import itertools
import math

import keras
import numpy as np
import pytest

import amp_tf
from amp_tf import units
from amp_tf.errors import InputError
from amp_tf.layers import physnet as physnet_layers
from amp_tf.models import physnet as physnet_model
from amp_tf.systems import System
from tests.models.physics import run_physics_test

SMALL = {"n_layers": 3, "n_features": 8, "n_radial": 6, "n_interaction": 2, "n_atomic": 2, "n_output": 1, "cutoff": 4.0}
ELEMENTS = ("H", "C", "O")


def make(charges=False, dtype="float64", random_weights=True, seed=3, **changes):
    keras.utils.set_random_seed(seed)
    potential = amp_tf.PhysNet(ELEMENTS, charges=charges, dtype=dtype, **SMALL | changes)
    if random_weights:  # masks and outputs start at zero
        random = np.random.default_rng(seed)
        potential.set_weights([weight + 0.3 * random.normal(size=weight.shape) for weight in potential.get_weights()])
    return potential


def softplus(values):
    return np.log1p(np.exp(values))


def sigma(values):
    return softplus(values) - math.log(2.0)


def phi(distance, cutoff):
    t = distance / cutoff
    return 1.0 - 6.0 * t**5 + 15.0 * t**4 - 10.0 * t**3 if t < 1.0 else 0.0


def chi(distance, cutoff):
    """Eq. 13 as it stands."""
    f = phi(2.0 * distance, cutoff)
    return f / math.sqrt(distance**2 + 1.0) + (1.0 - f) / distance


def dense(layer, values):
    kernel, *bias = (np.array(weight) for weight in layer.get_weights())
    return values @ kernel + (bias[0] if bias else 0.0)


def residual(block, values):
    return values + dense(block.second, sigma(dense(block.first, sigma(values))))


def expected(potential, system):
    """Energy (kJ/mol), raw and corrected charges (e), and the ratios of outputs, of one system."""
    centers, widths = (softplus(np.array(weight)) for weight in potential.radial_basis.get_weights())
    element = [[1, 6, 8].index(number) for number in system.atomic_numbers]
    n, features = len(element), np.array(potential.embedding.get_weights()[0])[element]
    distance = np.linalg.norm(system.positions[:, None] - system.positions[None], axis=-1)
    outputs = []
    for module in potential.pass_through:
        layer, new = module.interaction, []
        for i in range(n):
            v = sigma(dense(layer.dense_i, sigma(features[i])))
            for j in range(n):
                if i != j and distance[i, j] < potential.cutoff:
                    g = phi(distance[i, j], potential.cutoff) * np.exp(-widths * (math.exp(-distance[i, j]) - centers) ** 2)
                    v = v + dense(layer.to_mask, g) * sigma(dense(layer.dense_j, sigma(features[j])))
            for block in layer.residual:
                v = residual(block, v)
            new.append(np.array(layer.gate) * features[i] + dense(layer.dense, sigma(v)))
        features = np.array(new)
        for block in module.atomic:
            features = residual(block, features)
        side = features
        for block in module.before_output:
            side = residual(block, side)
        outputs.append(dense(module.output_layer, sigma(side)))
    y = np.array(potential.scale)[element] * sum(outputs) + np.array(potential.shift)[element]
    energy, result = 96.48533212331 * y[:, 0].sum(), {}
    if potential.charges:
        raw = y[:, 1]
        charges = raw - (raw.sum() - system.total_charge) / n
        for i in range(n):
            for j in range(i):
                energy += units.COULOMB_CONSTANT * charges[i] * charges[j] * chi(distance[i, j], potential.cutoff)
        result = {"raw_charges": raw, "charges": charges}
    ratios = sum(late**2 / (late**2 + early**2 + 1e-7) for early, late in itertools.pairwise(outputs))
    return {"energy": energy, "nonhierarchicality": ratios.mean(axis=1), **result}


def energy_of(potential, numbers, positions, total_charge=0.0):
    """Without the warnings that lone ions bring."""
    return potential.compute_systems([System(numbers, np.array(positions, dtype=float), total_charge)])["energy"][0]


def systems_of(random):
    water = np.array([[0.0, 0.0, 0.0], [0.76, 0.0, -0.59], [-0.74, 0.1, -0.6]])
    others = [System([8, 1, 1], water + random.normal(scale=0.05, size=(3, 3)), charge) for charge in (0.0, -1.0)]
    far = System([6, 8, 1, 1], np.concatenate([water, [[0.3, 7.5, 0.1]]])[[0, 3, 1, 2]], 1.0)
    return [*others, far, System([1], np.zeros((1, 3)), 1.0)]


@pytest.mark.parametrize("charges", [False, True])
def test_it_equals_its_equations(charges, random):
    potential = make(charges)
    for system in systems_of(random):
        if not charges:
            system = System(system.atomic_numbers, system.positions)
        found, wanted = potential.compute_systems([system], gradients=False), expected(potential, system)
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name][0], value, rtol=1e-11, atol=1e-11, err_msg=name)


def without_damping(monkeypatch):
    monkeypatch.setattr(physnet_model, "damped_inverse", lambda distances, cutoff: 1.0 / distances)


def gate_on_what_is_activated(monkeypatch):
    whole = physnet_layers.PhysNetInteraction.call

    def call(self, features, *arguments):
        return whole(self, features, *arguments) + self.gate * (physnet_layers.shifted_softplus(features) - features)

    monkeypatch.setattr(physnet_layers.PhysNetInteraction, "call", call)


def charge_that_is_lost(monkeypatch):
    monkeypatch.setattr(physnet_model, "conserve_charge", lambda charges, system, total_charge: charges)


def self_of_each_module(monkeypatch):
    """The next module gets what the output is made of, not x."""
    whole = physnet_layers.PhysNetModule.call

    def call(self, *arguments):
        features, output = whole(self, *arguments)
        for block in self.before_output:
            features = block(features)
        return features, output

    monkeypatch.setattr(physnet_layers.PhysNetModule, "call", call)


@pytest.mark.parametrize("damage", [without_damping, gate_on_what_is_activated, charge_that_is_lost, self_of_each_module])
def test_the_equations_find_what_is_broken(damage, monkeypatch, random):
    damage(monkeypatch)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        test_it_equals_its_equations(True, random)


@pytest.mark.parametrize(("charges", "n_parameters"), [(False, 1_281_418), (True, 1_282_068)])
def test_the_published_size_has_as_many_parameters_as_the_authors_program(charges, n_parameters):
    """Counted by arithmetic on that program, for five elements."""
    assert amp_tf.PhysNet(("H", "C", "N", "O", "S"), charges=charges).count_params() == n_parameters


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("charges", [False, True])
def test_physics(charges, dtype):
    """Charges that are missing are spread over all atoms, far ones too: energies do not add up, as in GNN-P."""
    run_physics_test(make(charges, dtype), skip=("additivity",) if charges else ())


@pytest.mark.parametrize("distance", [2.0, 4.0])
def test_two_derivatives_are_continuous_at_the_cut_off_and_at_half_of_it(distance):
    potential = make(charges=True)

    def force(length):
        pair = System([8, 6], np.array([[0.0, 0.0, 0.0], [0.0, 0.0, length]]), 1.0)
        return potential.compute_systems([pair])["qm_gradients"][0][1, 2]

    step = 1e-4
    before, after = (force(distance) - force(distance - step)) / step, (force(distance + step) - force(distance)) / step
    assert after == pytest.approx(before, rel=1e-2, abs=1e-2)


def fixed_charges(charge):
    """Atoms whose charges are theirs alone: +charge of oxygen, −charge of hydrogen, nothing else."""
    potential = make(charges=True, random_weights=False, cutoff=10.0)
    shift = np.zeros((3, 2))
    shift[2, 1], shift[0, 1] = charge, -charge
    potential.shift.assign(shift)
    return potential


def test_two_ions_attract_each_other_by_coulombs_law():
    potential = fixed_charges(1.0)
    for distance in (10.0, 15.0, 40.0, 400.0):
        energy = energy_of(potential, [8, 1], [[0, 0, 0], [0, 0, distance]])
        assert energy == pytest.approx(-units.COULOMB_CONSTANT / distance, abs=1e-9)


def test_an_ion_sees_a_dipole_fall_as_the_square_of_the_distance():
    potential = fixed_charges(0.4)
    shift = np.array(potential.shift)
    shift[1, 1] = 1.0  # carbon, the ion
    potential.shift.assign(shift)
    distances, half = np.geomspace(60.0, 200.0, 10), 0.5

    def energy(length):
        return energy_of(potential, [8, 1, 6], [[0, 0, half], [0, 0, -half], [0, 0, length]], 1.0)

    far = energy(9e3)
    values = np.array([energy(length) for length in distances]) - far
    slope, offset = np.polyfit(np.log(distances), np.log(values), 1)
    assert slope == pytest.approx(-2.0, abs=0.01)
    assert math.exp(offset) == pytest.approx(units.COULOMB_CONSTANT * 0.4 * 2.0 * half, rel=0.05)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_charges_sum_to_the_total_charge(dtype, tolerance, random):
    potential = make(charges=True, dtype=dtype)
    for system in systems_of(random):
        found = potential.compute_systems([system])
        assert found["charges"][0].sum() == pytest.approx(system.total_charge, abs=tolerance)


def test_two_total_charges_differ_by_coulomb_energy_alone(random):
    potential, system = make(charges=True), systems_of(random)[0]
    terms = [potential.compute(system.atomic_numbers, system.positions, total_charge=total)["energy_terms"] for total in (0.0, 1.0)]
    assert terms[0]["atomic"] == pytest.approx(terms[1]["atomic"], abs=1e-10)
    assert abs(terms[0]["coulomb_qm_qm"] - terms[1]["coulomb_qm_qm"]) > 1.0


def test_xla_and_files_give_the_same(tmp_path, random):
    potential, system = make(charges=True), systems_of(random)[2]
    potential.save(tmp_path / "physnet.keras")
    loaded = amp_tf.load_potential(tmp_path / "physnet.keras")
    results = [one.compute_systems([system], xla=xla) for one, xla in ((potential, False), (potential, True), (loaded, False))]
    for result in results[1:]:
        np.testing.assert_allclose(result["energy"], results[0]["energy"], rtol=1e-12)
        np.testing.assert_allclose(result["qm_gradients"][0], results[0]["qm_gradients"][0], atol=1e-9)
    assert type(loaded) is amp_tf.PhysNet
    assert loaded.get_config() == potential.get_config()


DIMER = System(
    [8, 1, 1, 8, 1, 1],
    np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [2.9, 0, 0], [3.5, 0.76, 0], [3.5, -0.76, 0.0]], dtype=float),
)
FUNCTIONALS = {
    "revPBE": ((1.0, 2.3550, 0.5238, 3.5016), -0.003551724),
    "DSD-BLYP": ((0.5, 0.2130, 0.0, 6.0519), -0.000625124),
    "HF": ((1.0, 0.9171, 0.3385, 2.8830), -0.011533333),
}
"""Parameters of D3(BJ), and two-body energies of a water dimer that the program s-dftd3 gave, hartree."""


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_dispersion_is_that_of_the_reference_program(name):
    parameters, energy = FUNCTIONALS[name]
    found = make(dispersion=parameters).compute_systems([DIMER])["energy_terms"]["dispersion"][0] / units.HARTREE
    assert found == pytest.approx(energy, abs=2e-9)
    single = make(dispersion=parameters, dtype="float32").compute_systems([DIMER])["energy_terms"]["dispersion"][0] / units.HARTREE
    assert single == pytest.approx(energy, abs=1e-8)


def test_learnt_dispersion_starts_at_hartree_fock_and_has_exact_gradients(random):
    potential = make(dispersion="learned", random_weights=False)
    assert potential.compute_systems([DIMER])["energy"][0] / units.HARTREE == pytest.approx(FUNCTIONALS["HF"][1], abs=2e-9)
    run_physics_test(make(dispersion="learned"), skip=("additivity",))  # it reaches as far as 1/r⁶ does


@pytest.mark.parametrize(
    ("dispersion", "sentence"),
    [("yes", "dispersion must be None, 'learned'"), ((1.0, 2.0), "dispersion must be"), ((1, 1, 0, 0), "must be")],
)
def test_other_dispersion_is_refused(dispersion, sentence):
    with pytest.raises(InputError, match=sentence):
        make(dispersion=dispersion)
    with pytest.raises(InputError, match="D3 has no tables here for Si"):
        amp_tf.PhysNet(("Si",), dispersion="learned", **SMALL)
