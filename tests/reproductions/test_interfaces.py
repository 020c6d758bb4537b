"""The measures of the interfaces, in small."""

import json

import numpy as np
import pytest

pytest.importorskip("openmm", reason="OpenMM is not installed: pip install 'amp_tf[openmm]'")

from ase import Atoms
from scipy.spatial.distance import cdist

from amp_tf.errors import InputError
from reproductions import interfaces


@pytest.mark.filterwarnings("ignore:MM particle:UserWarning")
def test_from_end_to_end(tmp_path):
    path = interfaces.reproduce("smoke", results=tmp_path / "results", runs=tmp_path / "runs")
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
    interfaces.add_waters(atoms, 3, random)
    assert atoms.get_chemical_formula() == "H6NO3"
    molecules = [atoms.positions[1 + 3 * number : 4 + 3 * number] for number in range(3)]
    for number, molecule in enumerate(molecules):
        others = np.concatenate([atoms.positions[:1], *molecules[:number]])
        assert interfaces.CLOSEST <= cdist(molecule, others).min() < interfaces.CLOSEST + 0.2


def test_one_file_of_amp_bms_without_the_other(tmp_path):
    with pytest.raises(InputError, match="give --weights and --golden"):
        interfaces.reproduce("smoke", weights=tmp_path / "MIN_state_dict")
    with pytest.raises(InputError, match="no PRESET=paper of the interfaces; choose smoke or laptop"):
        interfaces.reproduce("paper")
