"""README says what is so: its example runs, its commands exist, its tables are those of the result files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from reproductions import figure2, learning_curves, readme

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def result(path):
    return json.loads((ROOT / path).read_text())


def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    untrained, water, solute = re.findall(r"```python\n(.*?)```", README, re.S)
    names = {}
    exec(untrained, names)
    assert np.isfinite(names["result"]["energy"])
    assert names["result"]["qm_gradients"].shape == (6, 3)
    assert (tmp_path / "water.keras").is_file()
    monkeypatch.chdir(ROOT)
    exec(water, names)
    assert names["result"]["mm_gradients"].shape == (27, 3)
    assert -200 < names["result"]["energy"] < -20
    exec(solute, names)
    assert names["result"]["charges"].sum() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z][\w-]*)", README))))
def test_make_targets_exist(target):
    makefile = (ROOT / "Makefile").read_text()
    if target.startswith("reproduce-"):
        assert (ROOT / "reproductions" / f"{target.removeprefix('reproduce-')}.py").is_file()
    else:
        assert re.search(rf"^([\w-]+ )*{target}( [\w-]+)*:", makefile, re.M)


def test_files_named_in_the_readme_exist():
    for path in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / path).is_file(), path


def test_the_tables_are_those_of_the_result_files():
    assert figure2.table(result("reproductions/results/figure2.laptop.json")["rows"]) in README
    for name in ("figure5", "figure6"):
        assert learning_curves.table(result(f"reproductions/results/{name}.laptop.json")["rows"]) in README
    assert readme.filled(README) == README, "a table is not that of its result file: make readme"
