"""What TensorFlow tells about processors and drivers is not told on, unless the user asks for it; and every import of it is behind that."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

COMPUTE = """
import amp_tf
from amp_tf.simulation.solutes import solute_by_name
uracil = solute_by_name("uracil")
print(amp_tf.load_potential("uracil").compute(uracil.atomic_numbers, uracil.positions, [[9.0, 0, 0]], [0.4], xla=True)["energy"])
"""
COMMANDS = {
    "compute": ["-c", COMPUTE],
    "evaluate": ["-m", "amp_tf.cli", "evaluate", "uracil", "datasets/uracil_sample.h5"],
    "a reproduction": ["-m", "reproductions.figure4", "--help"],
    "a benchmark": ["-m", "benchmarks.step_time", "--help"],
}


def run(arguments: list[str], **settings: str) -> subprocess.CompletedProcess:
    """In a process that inherits no setting of what TensorFlow tells."""
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"} | settings
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True, cwd=ROOT)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=list(COMMANDS))
def test_nothing_is_told(arguments):
    finished = run(arguments)
    assert finished.stdout
    assert finished.stderr == ""


def test_who_asks_is_told():
    assert "oneDNN" in run(["-c", "import amp_tf.models"], TF_CPP_MIN_LOG_LEVEL="0").stderr


def test_an_error_while_tensorflow_is_imported_shows():
    code = "import sys; sys.modules['tensorflow'] = None\ntry:\n import amp_tf.models\nexcept ImportError as error: print(error)"
    assert "tensorflow" in run(["-c", code]).stdout


def imported(path: Path) -> list[str]:
    """Modules in the order in which a file, then its functions, import them."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    return [name for node in nodes for name in ([node.module] if isinstance(node, ast.ImportFrom) else [part.name for part in node.names])]


FILES = [
    path
    for folder in ("amp_tf", "benchmarks", "common", "datasets", "figures", "reproductions")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def test_every_import_of_tensorflow_comes_after_that_of_backend():
    quiet = "amp_tf.backend"
    for path in FILES:
        names = imported(path)
        loud = [number for number, name in enumerate(names) if name.split(".")[0] in ("keras", "tensorflow")]
        packages = [folder / "__init__.py" for folder in path.parents if folder.is_relative_to(ROOT) and folder != ROOT]
        safe = any(quiet in imported(package) for package in packages) or path == ROOT / "amp_tf" / "backend.py"
        assert safe or not loud or quiet in names[: loud[0]], f"{path}: import amp_tf.backend before TensorFlow and Keras"
