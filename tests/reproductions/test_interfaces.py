"""The measures of the interfaces, in small."""

import json

import numpy as np
import pytest

pytest.importorskip("openmm", reason="OpenMM is not installed: pip install 'amp_tf[openmm]'")

from ase import Atoms
from scipy.spatial.distance import cdist

from amp_tf.errors import InputError
from reproductions import amp_bms, interface_measures, interfaces
from tests.models.test_amp_bms import GOLDEN, WEIGHTS, needs_weights


@pytest.mark.filterwarnings("ignore:MM particle:UserWarning")
@pytest.mark.slow
def test_from_end_to_end(tmp_path):
    path = interfaces.reproduce("smoke", tmp_path)
    rows = json.loads(path.read_text())["rows"]
    for entry in rows:
        if entry["metric"] in interfaces.AIMS:
            assert entry["value"] <= interfaces.AIMS[entry["metric"]], entry
        elif entry["metric"] == "energy_change":
            assert abs(entry["value"]) > 1e-4, "something moved"
    assert {entry["metric"] for entry in rows} >= {
        "force_error",
        "xml_difference",
        "copy_difference",
        "checkpoint_difference",
        "lost_frames",
    }
    assert "EIQMMM" in interfaces.table(rows)


def test_waters_stand_where_there_is_room(random):
    atoms = Atoms("N", [[0.0, 0.0, 0.0]])
    interface_measures.add_waters(atoms, 3, random)
    assert atoms.get_chemical_formula() == "H6NO3"
    molecules = [atoms.positions[1 + 3 * number : 4 + 3 * number] for number in range(3)]
    for number, molecule in enumerate(molecules):
        others = np.concatenate([atoms.positions[:1], *molecules[:number]])
        assert interface_measures.CLOSEST <= cdist(molecule, others).min() < interface_measures.CLOSEST + 0.2


def test_presets_and_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="no PRESET=paper of the interfaces; choose smoke or laptop"):
        interfaces.reproduce("paper")
    with pytest.raises(InputError, match="no such file; give the numbers of the authors' program"):
        amp_bms.reproduce("laptop", tmp_path / "MIN_state_dict", tmp_path / "golden.npz")
    np.savez(tmp_path / "golden.npz", **{"water/train/energy": np.zeros(())})
    with pytest.raises(InputError, match=r"golden\.npz lacks water/atomic_numbers; give a file with arrays"):
        amp_bms.reproduce("laptop", tmp_path / "MIN_state_dict", tmp_path / "golden.npz")


@pytest.mark.slow
@needs_weights
def test_the_numbers_of_the_authors(tmp_path):
    rows = json.loads(amp_bms.reproduce("laptop", WEIGHTS, GOLDEN, tmp_path).read_text())["rows"]
    assert {entry["metric"] for entry in rows} == set(amp_bms.AIMS)
    assert all(entry["value"] <= amp_bms.AIMS[entry["metric"]] for entry in rows)
