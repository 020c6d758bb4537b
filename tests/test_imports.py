"""The architecture: imports run one way."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RANK = {
    "errors": 0,
    "files": 0,
    "npz": 0,
    "progress": 0,
    "shipped": 0,
    "silence": 0,
    "state_dict": 0,
    "units": 0,
    "arrays": 0,
    "backend": 0,
    "geometry": 0,
    "neighbours": 0,
    "systems": 0,
    "targets": 0,
    "ops": 1,
    "graph": 1,
    "filling": 1,
    "layers": 2,
    "models": 3,
    "data": 4,
    "training": 5,
    "interfaces": 6,
    "info": 6,
    "physics": 6,
    "predict": 6,
    "simulation": 7,
    "cli": 8,
    "command": 8,
}
"""data/pipeline.py and training read models."""
SCRIPTS = {
    "datasets": set(),
    "figures": set(),
    "common": {"datasets"},
    "benchmarks": {"datasets", "common"},
    "reproductions": {"datasets", "figures", "common", "benchmarks"},
}
"""The folders of scripts beside the package, and those of them that each may import."""
FILES = sorted((ROOT / "amp_tf").rglob("*.py"))


def imported_names(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def complaints(path: Path, names: list[str]) -> list[str]:
    mine = path.relative_to(ROOT / "amp_tf").parts[0].removesuffix(".py")
    found = []
    for name in names:
        parts = name.split(".")
        if parts[0] in (*SCRIPTS, "tests"):
            found.append(f"{path} imports the script folder {name}")
        if mine in RANK and parts[0] == "amp_tf" and len(parts) > 1 and RANK.get(parts[1], 0) > RANK[mine]:
            found.append(f"{path} imports {name} against the direction")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    assert complaints(path, imported_names(path)) == []


@pytest.mark.parametrize("folder", SCRIPTS)
def test_imports_of_scripts_run_one_way(folder):
    strangers = set(SCRIPTS) - SCRIPTS[folder] - {folder} | {"tests"}
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    assert [f"{path} imports {name}" for path in paths for name in imported_names(path) if name.split(".")[0] in strangers] == []


def test_no_two_folders_of_scripts_import_each_other():
    assert all(folder not in SCRIPTS[other] for folder, others in SCRIPTS.items() for other in others)


def test_the_check_bites():
    assert complaints(ROOT / "amp_tf" / "ops" / "radial.py", ["amp_tf.models.amp"])
    assert complaints(ROOT / "amp_tf" / "units.py", ["datasets.water_dimer"])


def test_every_module_has_a_rank():
    modules = {path.relative_to(ROOT / "amp_tf").parts[0].removesuffix(".py") for path in FILES} - {"__init__"}
    assert modules <= set(RANK)


def test_importing_the_package_and_reading_data_does_not_start_tensorflow():
    code = "import sys, amp_tf, amp_tf.data.hdf5; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("name", ["amp_tf.AMP", "amp_tf.load_potential", "amp_tf.train"])
def test_another_backend_is_refused_before_keras_is_imported(name):
    code = f"import sys, amp_tf\ntry:\n {name}\nexcept ValueError as error:\n sys.exit(f'{{error}}' + ' keras' * ('keras' in sys.modules))"
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert finished.stderr.strip() == "amp_tf needs TensorFlow, but Keras runs on jax; set KERAS_BACKEND=tensorflow."


def test_tensorflow_is_named_only_where_gradients_and_pipelines_are_made():
    users = {str(path.relative_to(ROOT)) for path in FILES if any(name.split(".")[0] == "tensorflow" for name in imported_names(path))}
    of_models = {f"amp_tf/models/{name}.py" for name in ("computing", "potential", "training")}
    assert users == {*of_models, "amp_tf/data/pipeline.py", "amp_tf/training/callbacks.py", "amp_tf/ops/safe.py", "amp_tf/backend.py"}
