"""The revised MD17."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import amp_tf
from amp_tf import cli, units
from amp_tf.data.rmd17 import read_rmd17
from amp_tf.errors import DataFileError

ETHANOL = Path(__file__).parents[3] / "shared" / "data" / "rmd17" / "rmd17_ethanol_train_01.npz"


def arrays(**changes):
    """Three frames of a stretched hydrogen molecule on a spring of 1 kcal/mol/angstrom^2, 0.7 angstrom long."""
    bonds = np.array([0.6, 0.75, 0.9])
    coords, forces = np.zeros((3, 2, 3)), np.zeros((3, 2, 3))
    coords[:, 1, 2], forces[:, 0, 2] = bonds, bonds - 0.7
    forces[:, 1] = -forces[:, 0]
    found = {"nuclear_charges": np.array([1, 1], np.uint8), "coords": coords, "energies": 0.5 * (bonds - 0.7) ** 2, "forces": forces}
    return found | {"old_indices": np.array([5, 7, 2])} | changes


def written(path, **changes):
    np.savez(path, **{name: array for name, array in arrays(**changes).items() if array is not None})
    return path


def test_units_and_signs(tmp_path):
    frames = read_rmd17(written(tmp_path / "rmd17_hydrogen.npz"))
    assert [frame.properties["old_index"] for frame in frames] == [5, 7, 2]
    np.testing.assert_allclose([frame.energy for frame in frames], 0.5 * 4.184 * np.array([0.1, 0.05, 0.2]) ** 2)
    np.testing.assert_allclose([frame.qm_gradients[1, 2] for frame in frames], 4.184 * np.array([-0.1, 0.05, 0.2]))


def test_convert_knows_the_level_of_theory(tmp_path):
    source, output = written(tmp_path / "rmd17_hydrogen.npz"), tmp_path / "hydrogen.h5"
    result = CliRunner().invoke(cli.app, ["convert", str(source), str(output), "--format", "rmd17", "--no-plausibility-check"])
    assert result.exit_code == 0, result.output
    data = amp_tf.read_reference_data(output)
    assert (data.provenance.level_of_theory, len(data)) == ("PBE/def2-SVP", 3)
    assert data.groups[0].frame_properties["old_index"].tolist() == [5, 7, 2]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"forces": None, "energies": None}, "lacks energies, forces"),
        ({"coords": np.zeros((3, 3, 3))}, r"coords must be finite numbers of shape \(3, 2, 3\)"),
        ({"energies": np.array([0.0, np.nan, 1.0])}, "energies must be finite"),
    ],
)
def test_what_is_no_such_file(changes, complaint, tmp_path):
    with pytest.raises(DataFileError, match=complaint):
        read_rmd17(written(tmp_path / "rmd17_hydrogen.npz", **changes))


def test_damaged_and_missing(tmp_path):
    (path := tmp_path / "rmd17_hydrogen.npz").write_bytes(b"PK\x03\x04" + bytes(50))
    with pytest.raises(DataFileError, match="no file of the revised MD17"):
        read_rmd17(path)
    with pytest.raises(DataFileError, match=r"give rmd17_MOLECULE\.npz"):
        read_rmd17(tmp_path / "nothing.npz")


@pytest.mark.skipif(not ETHANOL.is_file(), reason="needs the revised MD17, which is not part of the project")
def test_ethanol():
    frames = read_rmd17(ETHANOL)
    assert len(frames) == 1000
    assert frames[0].atomic_numbers.tolist().count(6) == 2
    energies = np.array([frame.energy for frame in frames])
    assert np.mean(energies) / units.EV == pytest.approx(-4209, abs=3)
    assert np.mean(np.abs(energies - energies.mean())) / units.KCAL_PER_MOL == pytest.approx(3.25, abs=0.1)
    assert np.mean(np.abs([frame.qm_gradients for frame in frames])) / units.KCAL_PER_MOL == pytest.approx(20.2, abs=0.5)
