"""DF-MP2 with psi4 (https://psicode.org), as its own process: the program may live in another Python than ours."""

import atexit
import contextlib
import functools
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from amp_tf import units
from amp_tf.errors import EngineError
from datasets.engines.base import Calculation, CalculationError, Engine


class Psi4Engine(Engine):
    """The program ``psi4`` that is found on PATH; it stays up between calculations, one process for each process of ours."""

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
        return self._run(calculation, gradient=False)["energy_hartree"] * units.HARTREE

    def energy_and_gradient(self, calculation: Calculation) -> tuple[float, np.ndarray]:
        result = self._run(calculation, gradient=True)
        return result["energy_hartree"] * units.HARTREE, np.array(result["gradient_hartree_per_bohr"]) * units.HARTREE / units.BOHR

    def _run(self, calculation: Calculation, gradient: bool) -> dict[str, Any]:
        has_field = calculation.mm_charges is not None and len(calculation.mm_charges) > 0
        job = {
            "symbols": [chemical_symbols[number] for number in calculation.atomic_numbers],
            "positions_bohr": calculation.positions_bohr.tolist(),
            "charge": calculation.charge,
            "basis": calculation.basis,
            "gradient": gradient,
            "max_iterations": self.max_iterations,
            "mm_positions_bohr": calculation.mm_positions_bohr.tolist() if has_field else [],
            "mm_charges": np.asarray(calculation.mm_charges).tolist() if has_field else [],
        }
        answer = _server(self._program(), self.n_threads).ask(job)
        if "error" in answer:
            raise CalculationError(f"psi4: {' '.join(answer['error'].split())[:300]}")
        return answer


class _Server:
    """A running psi4 that reads calculations as lines of JSON and answers each with one line, on a pipe of its own."""

    def __init__(self, program: str, n_threads: int):
        self._folder = tempfile.TemporaryDirectory(prefix="amp_tf_psi4_")
        self._log = Path(self._folder.name) / "stderr.log"
        answers, answers_end = os.pipe()
        command = [program, "--skip-preprocessor", "-n", str(n_threads), "-o", os.devnull]
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                [*command, "-i", str(Path(__file__).with_name("psi4_input.py"))],
                cwd=self._folder.name, env=os.environ | {"AMP_TF_PSI4_ANSWERS": str(answers_end), "PSI_SCRATCH": self._folder.name},
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, pass_fds=[answers_end], text=True,
            )  # fmt: skip
        os.close(answers_end)
        self._answers = os.fdopen(answers)
        self._lock = threading.Lock()
        atexit.register(self.stop)

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """The answer to a calculation; threads wait for each other."""
        try:
            with self._lock:
                self._process.stdin.write(json.dumps(job) + "\n")
                self._process.stdin.flush()
                answer = self._answers.readline()
        except (BrokenPipeError, ValueError):  # psi4 has ended, or another thread has closed its pipes
            answer = ""
        if answer:
            return json.loads(answer)
        status, log = self._process.wait(), " ".join(self._log.read_text()[-500:].split())
        self.stop()
        _server.cache_clear()  # the next calculation starts a new one
        raise EngineError(f"psi4 ended with exit status {status}: {log}")

    def stop(self) -> None:
        """End psi4 and remove its files."""
        self._process.kill()
        self._process.wait()
        self._answers.close()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._folder.cleanup()


@functools.cache
def _server(program: str, n_threads: int) -> _Server:
    return _Server(program, n_threads)
