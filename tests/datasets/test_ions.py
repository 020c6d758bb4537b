"""Frames of ions: where they stand, whose charges leak, dynamics of a reaction, and a run that goes on."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

import amp_tf
from amp_tf import units
from amp_tf.errors import AmpTFError, InputError
from datasets import ions
from datasets.engines import CalculationError, EmbeddedResult


class Springs:
    """Every pair of atoms on a spring; charges are those of the elements, less what leaks."""

    name, level_of_theory, leak = "springs", "made up", 0.0

    def version(self):
        return "1"

    def embedded(self, calculation):
        positions, n = calculation.positions, len(calculation.positions)
        vectors = positions[:, None] - positions[None]
        lengths = np.linalg.norm(vectors, axis=-1) + np.eye(n)
        strengths = 5.0 * (lengths - 2.0) * (1.0 - np.eye(n))
        charges = np.full(n, calculation.charge / n)
        if 17 in calculation.atomic_numbers:
            chlorine = np.argmax(calculation.atomic_numbers == 17)
            charges = np.zeros(n)
            charges[chlorine] = calculation.charge * (1.0 - self.leak)
            charges += (calculation.charge - charges.sum()) / n
        energy = 0.25 * np.sum(5.0 * (lengths - 2.0) ** 2 * (1.0 - np.eye(n)))
        gradients = np.sum((strengths / lengths)[:, :, None] * vectors, axis=1)
        return EmbeddedResult(energy, gradients, np.zeros((0, 3)), charges, charges @ positions)


@pytest.fixture(autouse=True)
def springs(monkeypatch):
    monkeypatch.setattr(ions, "engine_of", lambda system: Springs())
    monkeypatch.setattr(ions, "PER_RUN", 4)
    return monkeypatch


@pytest.mark.parametrize("name", ions.SYSTEMS)
def test_frames_are_whole_apart_and_within_reach(name, tmp_path):
    if name in ("sodium-chloride", "ammonium-sodium"):
        pytest.skip("two ions: the made-up charges know one")
    digest, left_out = ions.build(name, 24, tmp_path / "ions.h5", "pytest")
    data = amp_tf.read_reference_data(tmp_path / "ions.h5")
    assert data.sha256 == digest
    system = ions.SYSTEMS[name]
    total = sum(fragment.charge for fragment in system.pairs[0])
    together = [
        group for group in data.groups if len(group.qm_atomic_numbers) == max(len(group.qm_atomic_numbers) for group in data.groups)
    ]
    assert {group.total_charge for group in together} == {total}
    assert len(together) == 1
    lengths = np.array([pdist(positions).max() for positions in together[0].qm_positions])
    assert lengths.max() <= ions.REACH
    assert len(data) + len(left_out) >= 20
    assert all(group.dipoles is not None and group.charges is not None for group in data.groups)


def test_a_leak_of_charge_is_noticed_and_the_frame_left_out(springs, tmp_path):
    springs.setattr(Springs, "leak", 0.1)
    _, left_out = ions.build("chloride-water", 20, tmp_path / "ions.h5", "pytest")
    assert any("6 angstrom or farther away, has -0.9" in reason for reason in left_out)
    data = amp_tf.read_reference_data(tmp_path / "ions.h5")
    assert len(data) + len(left_out) == 21


def test_a_reach_that_holds_no_frame(tmp_path, springs):
    springs.setattr(ions, "MOST_TRIES", 20)
    with pytest.raises(AmpTFError, match="find no place within 5 angstrom"):
        ions.build("ammonium-sodium", 10, tmp_path / "ions.h5", "pytest", reach=5.0)


def test_fragments_of_a_reaction_have_whole_charges_too():
    positions = np.array([[0.0, 0, 0], [1.1, 0, 0], [9.0, 0, 0]])
    assert ions._leak(positions, np.array([0.05, -0.05, -1.0]), None) is None
    assert "has -0.1" in ions._leak(positions, np.array([0.0, -0.1, -0.9]), None)


def test_dynamics_keep_the_energy_and_have_the_temperature(random):
    """The kept frames of a run: total energy within a hundredth of the kinetic energy, from velocity Verlet in the right units."""
    task = ions.Task("reaction", "sn2-chloride", 0, 30, 1e3)
    system = ions.SYSTEMS["sn2-chloride"]
    frames = list(ions._reaction(task, system, system.pairs[0], Springs(), random))
    numbers, positions = frames[0][0], np.array([frame[1] for frame in frames])
    masses = ions.atomic_masses[numbers][:, None]
    speeds = (positions[2:] - positions[:-2]) / (2.0 * ions.STRIDE * ions.TIME_STEP)
    kinetic = 0.5e4 * np.sum(masses * speeds**2, axis=(1, 2))
    potential = [Springs().embedded(ions.Calculation(numbers, frame, charge=-1)).energy for frame in positions[1:-1]]
    assert np.ptp(kinetic + potential) < 0.1 * kinetic.mean()
    assert kinetic.mean() == pytest.approx(1.5 * len(numbers) * units.GAS_CONSTANT * ions.TEMPERATURE, rel=0.8)


def test_a_build_goes_on(springs, tmp_path):
    """What had finished is not computed again; a calculation that fails leaves its frame out alone."""
    ions.build("chloride-water", 20, tmp_path / "ions.h5", "pytest")
    data = amp_tf.read_reference_data(tmp_path / "ions.h5")
    first = data.sha256
    assert sum(data.provenance.settings["kinds"].values()) == len(data)  # what there is, not what was asked for
    next((tmp_path / "ions.h5.parts").glob("apart_2_*.npz")).unlink()
    calls = []
    embedded = Springs.embedded

    def counted(self, calculation):
        calls.append(1)
        return embedded(self, calculation)

    springs.setattr(Springs, "embedded", counted)
    ions.build("chloride-water", 20, tmp_path / "ions.h5", "pytest")
    assert len(calls) == 4
    assert amp_tf.read_reference_data(tmp_path / "ions.h5").sha256 == first

    def failing(self, calculation):
        if len(calculation.positions) == 4 and calculation.positions[-1, 0] > 0.0:
            raise CalculationError("no convergence")
        return embedded(self, calculation)

    springs.setattr(Springs, "embedded", failing)
    _, left_out = ions.build("chloride-water", 20, tmp_path / "other.h5", "pytest")
    assert "no convergence" in left_out


def test_an_unknown_system(tmp_path):
    with pytest.raises(InputError, match="there is no system 'salt'"):
        ions.build("salt", 10, tmp_path / "ions.h5", "pytest")
