"""DF-MP2 with psi4 (https://psicode.org), as its own process: the program may live in another Python than ours."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ase.data import chemical_symbols

from amp_tf import units
from amp_tf.errors import EngineError
from datasets.engines.base import Calculation, Engine


class Psi4Engine(Engine):
    """The program ``psi4`` that is found on PATH."""

    name = "psi4"
    install = "conda install -c conda-forge psi4 (or, on Debian: apt-get install psi4)"

    def _program(self) -> str:
        program = shutil.which("psi4")
        if program is None:
            raise EngineError(f"psi4 is not installed; install it with: {self.install}")
        return program

    def version(self) -> str:
        with tempfile.TemporaryDirectory(prefix="amp_tf_psi4_") as folder:  # psi4 leaves files where it runs
            finished = subprocess.run([self._program(), "--version"], cwd=folder, capture_output=True, text=True)
        if finished.returncode != 0:
            raise EngineError(f"psi4 does not start ({' '.join(finished.stderr[-300:].split())}); reinstall it with: {self.install}")
        return finished.stdout.strip()

    def energy(self, calculation: Calculation) -> float:
        job = {
            "symbols": [chemical_symbols[number] for number in calculation.atomic_numbers],
            "positions_bohr": calculation.positions_bohr.tolist(),
            "charge": calculation.charge,
            "basis": calculation.basis,
        }
        with tempfile.TemporaryDirectory(prefix="amp_tf_psi4_") as folder:
            job_path, result_path, log_path = (Path(folder) / name for name in ("job.json", "result.json", "psi4.log"))
            job_path.write_text(json.dumps(job))
            command = [self._program(), "--skip-preprocessor", "-n", str(self.n_threads), "-o", str(log_path)]
            finished = subprocess.run(
                [*command, "-i", str(Path(__file__).with_name("psi4_input.py"))],
                cwd=folder, env=os.environ | {"AMP_TF_PSI4_JOB": str(job_path), "PSI_SCRATCH": folder}, capture_output=True, text=True,
            )  # fmt: skip
            if finished.returncode != 0 or not result_path.is_file():
                log = log_path.read_text()[-500:] if log_path.is_file() else ""
                raise EngineError(f"psi4 failed (exit status {finished.returncode}): {' '.join((finished.stderr[-500:] + log).split())}")
            return json.loads(result_path.read_text())["energy_hartree"] * units.HARTREE
