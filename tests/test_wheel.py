"""What users of the wheel get: the package and its potential, and nothing of the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = shutil.ignore_patterns(".*", "runs", "build", "*.egg-info", "*.h5", "*.zip", "weights", "results", "__pycache__")

COMPUTE = """
import numpy as np
import amp_tf
from amp_tf.simulation.solutes import solute_by_name
uracil = solute_by_name("uracil")
found = amp_tf.load_potential("uracil").compute(uracil.atomic_numbers, uracil.positions, [[8.0, 0, 0], [0, 9.0, 0]], [-0.8, 0.4])
assert all(np.all(np.isfinite(found[name])) for name in ("qm_gradients", "mm_gradients"))
print(found["energy"], amp_tf.__file__)
"""


@pytest.fixture(scope="module")
def version() -> str:
    """The one of setup.cfg."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser["metadata"]["version"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=NOT_COPIED)
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", "./source", *options], cwd=folder, check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_package_alone(wheel, version):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"amp_tf", f"amp_tf-{version}.dist-info"}
    written = {str(path.relative_to(ROOT)) for path in (ROOT / "amp_tf").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {name for name in names if name.startswith("amp_tf/")} == written


def test_the_wheel_works_elsewhere(wheel, version, tmp_path):
    place = tmp_path / "installed"
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--disable-pip-version-check", "--target", str(place)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    settings = {"env": os.environ | {"PYTHONPATH": str(place)}, "cwd": tmp_path, "capture_output": True, "text": True, "check": True}
    energy, where = subprocess.run([sys.executable, "-c", COMPUTE], **settings).stdout.split()
    assert Path(where).is_relative_to(place)
    assert -2e6 < float(energy) < 2e6
    assert subprocess.run([place / "bin" / "amp-tf", "--version"], **settings).stdout == f"amp-tf {version}\n"


def test_the_citation_names_this_version(version):
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
