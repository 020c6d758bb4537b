"""The reproductions of PhysNet's paper in their smoke preset, on made-up engines and data."""

import json

import keras
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

import amp_tf
import figures.physnet_md17
import figures.physnet_qm9
import figures.physnet_sn2
import figures.physnet_tails
from amp_tf import units
from amp_tf.errors import InputError
from amp_tf.systems import System
from amp_tf.training import make_config
from datasets import ions
from datasets.engines import EmbeddedResult
from reproductions import physnet_md17, physnet_paper, physnet_qm9, physnet_runs, physnet_sn2, physnet_tails
from reproductions.physnet_tails import LINES, Curve, Line, placed, prefactor, slope
from tests.data.test_rmd17 import arrays
from tests.datasets.test_ions import Springs
from tests.reproductions.test_qm9 import molecules

__all__ = ["molecules"]  # a fixture


class Ions:
    """Sodium and chloride by Coulomb's law and a wall."""

    name, level_of_theory = "ions", "made up"

    def version(self):
        return "1"

    def embedded(self, calculation):
        charges = np.where(np.asarray(calculation.atomic_numbers) == 11, 1.0, -1.0)
        positions = calculation.positions
        if len(positions) == 1:
            return EmbeddedResult(0.0, np.zeros((1, 3)), np.zeros((0, 3)), charges, charges @ positions)
        vector = positions[1] - positions[0]
        distance = np.linalg.norm(vector)
        energy = -units.COULOMB_CONSTANT / distance + 5e4 * np.exp(-3.0 * distance)
        force = (units.COULOMB_CONSTANT / distance**2 - 1.5e5 * np.exp(-3.0 * distance)) * vector / distance
        return EmbeddedResult(energy, np.stack([-force, force]), np.zeros((0, 3)), charges, charges @ positions)


@pytest.fixture
def here(monkeypatch):
    """With few frames a part."""
    monkeypatch.setattr(ions, "PER_RUN", 8)
    return monkeypatch


def values(result, metric, **who):
    return [row["value"] for row in result["rows"] if row["metric"] == metric and who.items() <= row.items()]


def test_tails(here, tmp_path):
    here.setattr(ions, "engine_of", lambda system: Ions())
    result = json.loads(physnet_tails.reproduce("smoke", tmp_path, tmp_path / "runs").read_text())
    assert values(result, "slope", variant="reference")[0] == pytest.approx(-1.0, abs=1e-9)
    assert values(result, "prefactor", variant="reference")[0] == pytest.approx(1.0, abs=1e-9)
    assert values(result, "slope", variant="without") == [None]  # beyond its cut-off there is no interaction
    assert values(result, "prefactor", variant="without") == pytest.approx([0.0], abs=1e-4)
    assert all(abs(error) < 1e-5 for error in values(result, "largest_charge_error", variant="with long range"))
    assert {curve["reach"] for curve in result["curves"]} == {None, 8.0}
    text = physnet_tails.table(result["rows"])
    assert text.count("sodium-chloride") == 3
    assert all(path.stat().st_size > 5000 for path in figures.physnet_tails.draw(result, tmp_path))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.system)
def test_fragments_are_placed_apart(line):
    numbers, positions, charge = placed(line, 12.0)
    assert charge == sum(line.charges)
    assert sorted(numbers) == sorted(np.concatenate([fragment.atoms().numbers for fragment in line.fragments]))
    first, second = (np.flatnonzero(numbers == anchor) for anchor in line.anchors)
    distances = squareform(pdist(positions))
    assert np.isclose(distances[np.ix_(first, second)], 12.0).any()
    inside = [distances[a, b] for a in range(len(numbers)) for b in range(a) if distances[a, b] < 3.0]
    assert len(inside) == sum(len(fragment.atoms()) * (len(fragment.atoms()) - 1) // 2 for fragment in line.fragments)


def test_the_ion_stands_behind_the_carbon_and_before_the_hydrogens():
    chloromethane, water = (next(line for line in LINES if line.system == name) for name in ("sn2-chloride", "chloride-water"))
    numbers, positions, _ = placed(chloromethane, 3.0)
    carbon = positions[numbers == 6][0]
    distances = sorted(np.linalg.norm(positions[numbers == 17] - carbon, axis=1))
    np.testing.assert_allclose(np.linalg.norm(np.subtract(*positions[numbers == 17])), sum(distances))  # on a line
    numbers, positions, _ = placed(water, 3.0)
    assert np.all(np.linalg.norm(positions[numbers == 1] - positions[numbers == 17], axis=1) < 3.0)


def test_slope_and_prefactor_of_known_laws():
    distances = np.geomspace(2.0, 40.0, 30)
    dipole = Curve(distances, 7.0 - 50.0 / distances**2, 7.0)
    assert slope(dipole) == pytest.approx(-2.0)
    assert prefactor(Curve(distances, -25.0 / distances**2, 0.0), dipole, (-1, 0)) == pytest.approx(0.5)
    assert prefactor(Curve(distances, 2.0 * units.COULOMB_CONSTANT / distances, 0.0), dipole, (2, 1)) == pytest.approx(1.0)


def test_reaction(here, tmp_path):
    here.setattr(ions, "engine_of", lambda system: Springs())
    result = json.loads(physnet_sn2.reproduce("smoke", results=tmp_path, runs=tmp_path / "runs").read_text())
    assert {row["published"] for row in result["rows"] if row["metric"] == "energy_mae"} == {0.009, 0.071}
    reference = result["curves"][0]
    assert np.array(reference["coordinate"]) == pytest.approx([-0.5, 0.0, 0.5])
    assert reference["path"][0] == pytest.approx(reference["path"][2], abs=0.5)  # the two halides are alike
    assert not values(result, "dipole_mae", variant="without")
    assert values(result, "dipole_mae", variant="with long range")
    text = physnet_sn2.table(result["rows"])
    published = [line for line in text.splitlines() if "published" in line]
    assert ["0.009" in published[0], "0.071" in published[1]] == [True, True]
    assert text.count("null model") == 2
    assert all(path.stat().st_size > 5000 for path in figures.physnet_sn2.draw(result, tmp_path))
    with pytest.raises(InputError, match="choose sn2-chloride or sn2-fluoride"):
        physnet_sn2.reproduce("smoke", "sn2", tmp_path, tmp_path)


@pytest.mark.parametrize("as_published", [False, True])
def test_frames_of_the_split(as_published, tmp_path):
    everything = arrays(
        coords=np.arange(24.0).reshape(4, 2, 3), energies=np.arange(4.0), forces=np.zeros((4, 2, 3)), old_indices=np.arange(4)
    )
    if as_published:
        for folder in ("npz_data", "splits"):
            (tmp_path / folder).mkdir()
        np.savez(tmp_path / "npz_data" / "rmd17_ethanol.npz", **everything)
        for part, numbers in (("train", [3, 1]), ("test", [0, 2])):
            np.savetxt(tmp_path / "splits" / f"index_{part}_01.csv", numbers, fmt="%d")
    else:
        for part, numbers in (("train", [3, 1]), ("test", [0, 2])):
            chosen = {name: array if name == "nuclear_charges" else array[numbers] for name, array in everything.items()}
            np.savez(tmp_path / f"rmd17_ethanol_{part}_01.npz", **chosen)
    train, test = physnet_md17.frames_of(tmp_path, "ethanol")
    assert [frame.properties["old_index"] for frame in train] == [3, 1]
    assert [frame.properties["old_index"] for frame in test] == [0, 2]


@pytest.mark.parametrize(
    ("line", "complaint"), [("7", "counts frames that the data do not have, 4"), ("one", "is no list of frame numbers")]
)
def test_indices_that_do_not_fit(line, complaint, tmp_path):
    everything = arrays(coords=np.zeros((4, 2, 3)), energies=np.zeros(4), forces=np.zeros((4, 2, 3)), old_indices=np.arange(4))
    for folder in ("npz_data", "splits"):
        (tmp_path / folder).mkdir()
    np.savez(tmp_path / "npz_data" / "rmd17_ethanol.npz", **everything)
    (tmp_path / "splits" / "index_train_01.csv").write_text("0\n1\n")
    (tmp_path / "splits" / "index_test_01.csv").write_text(f"2\n{line}\n")
    with pytest.raises(InputError, match=complaint):
        physnet_md17.frames_of(tmp_path, "ethanol")
    (tmp_path / "splits" / "index_test_01.csv").write_text("2\n1\n")
    with pytest.raises(InputError, match="share frames"):
        physnet_md17.frames_of(tmp_path, "ethanol")


def test_a_models_own_limit_is_that_of_its_pair():
    """Charges that are missing are spread over all atoms: the fragments alone have another sum."""
    line = next(line for line in LINES if line.system == "chloride-water")
    keras.utils.set_random_seed(1)
    potential = amp_tf.PhysNet(("H", "O", "Cl"), n_layers=1, n_features=8, n_radial=4, charges=True, dtype="float64")
    random = np.random.default_rng(1)
    potential.set_weights([weight + 0.3 * random.normal(size=weight.shape) for weight in potential.get_weights()])
    found = physnet_tails.curve_of(potential, line, 10)
    far = [potential.compute_systems([System(*placed(line, distance))])["energy"][0] - found.apart for distance in (200.0, 2000.0)]
    assert abs(far[1]) < 0.11 * abs(far[0])  # it goes to zero


@pytest.mark.slow
def test_md17(tmp_path):
    random = np.random.default_rng(0)
    for part, n in (("train", 20), ("test", 12)):
        bonds = random.uniform(0.6, 0.9, size=n)
        coords, forces = np.zeros((n, 2, 3)), np.zeros((n, 2, 3))
        coords[:, 1, 2], forces[:, 0, 2], forces[:, 1, 2] = bonds, bonds - 0.7, 0.7 - bonds
        np.savez(tmp_path / f"rmd17_ethanol_{part}_01.npz", nuclear_charges=np.array([1, 1]), coords=coords, forces=forces,
                 energies=-700.0 + 0.5 * (bonds - 0.7) ** 2)  # fmt: skip
    result = json.loads(physnet_md17.reproduce("smoke", tmp_path, None, tmp_path, tmp_path / "runs").read_text())
    assert {(row["model"], row["seed"]) for row in result["rows"]} == {
        ("PhysNet, tiny", 0), ("PhysNet, tiny", 1), ("PhysNet, tiny", "ensemble"), ("AMP(2)", 0),
    }  # fmt: skip
    assert [record["frames"] for record in result["data"].values()] == [32]
    text = physnet_md17.table(result["rows"])
    assert text.count("ethanol") == 3
    assert all(path.stat().st_size > 5000 for path in figures.physnet_md17.draw(result, tmp_path))


def test_what_the_revised_md17_lacks(tmp_path):
    with pytest.raises(InputError, match="give the folder of its files"):
        physnet_md17.reproduce("smoke", None, None, tmp_path, tmp_path)
    with pytest.raises(InputError, match=r"has neither rmd17_ethanol_train_01\.npz and"):
        physnet_md17.reproduce("smoke", tmp_path, None, tmp_path, tmp_path)
    with pytest.raises(InputError, match="there is no molecule 'water'"):
        physnet_md17.reproduce("smoke", tmp_path, ["water"], tmp_path, tmp_path)


@pytest.mark.slow
def test_qm9(molecules, tmp_path):
    result = json.loads(physnet_qm9.reproduce("smoke", molecules, tmp_path, tmp_path / "runs").read_text())
    assert {row["molecules"] for row in result["rows"] if row["metric"] == "energy_mae"} == {28, 48}
    nulls = {row["value"] for row in result["rows"] if row["metric"] == "null_model_energy_mae"}
    assert len(nulls) == 2  # of other training sets, on the same molecules
    text = physnet_qm9.table(result["rows"])
    assert text.count("published") == len(physnet_paper.QM9)
    assert all(path.stat().st_size > 5000 for path in figures.physnet_qm9.draw(result, tmp_path))
    with pytest.raises(InputError, match="PRESET=laptop needs more than 19000"):
        physnet_qm9.reproduce("laptop", molecules, tmp_path, tmp_path)


def test_all_settings_are_valid(tmp_path):
    for module in (physnet_md17, physnet_qm9, physnet_sn2, physnet_tails):
        for chosen in module.PRESETS.values():
            job = physnet_runs.Job("name", tmp_path, physnet_runs.physnet(chosen.size, True), chosen.settings, 0)
            assert make_config(job.configuration()).loss == "absolute"
    for chosen in physnet_md17.PRESETS.values():
        settings = {**physnet_md17.AMP["settings"], **chosen.settings, **chosen.amp.get("settings", {})}
        job = physnet_runs.Job("name", tmp_path, physnet_md17.AMP["model"] | chosen.amp.get("model", {}), settings, 0)
        assert make_config(job.configuration()).model["type"] == "AMP"
    assert isinstance(LINES[0], Line)
