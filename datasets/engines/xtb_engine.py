"""GFN2-xTB with the program xtb (https://xtb-docs.readthedocs.io), each calculation a process in a folder of its own.

In xtb point charges act on the charges of the atoms alone, not on the atomic dipoles of GFN2; its file of point charges, read with
``interface=orca``, is in angstrom, and its gradient in hartree/bohr. Finite differences in the tests hold this down.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from amp_tf import units
from amp_tf.errors import EngineError
from datasets.engines.base import Calculation, CalculationError
from datasets.engines.embedding import EmbeddedResult, EmbeddingEngine

POINT_CHARGE_HARDNESS = 99.0
"""The fifth column of xtb's file of point charges; so hard a charge acts by the plain Coulomb law."""

_GRADIENT = units.HARTREE / units.BOHR


class XTBEngine(EmbeddingEngine):
    """The program ``xtb`` on PATH: GFN2-xTB (Bannwarth, Ehlert and Grimme 2019) with self-consistent charges in the field.

    Args:
        method: must be ``"gfn2"``.
        basis: must be None.
        n_threads: of one calculation.
        keep_orbitals: start from the last calculation's density, for trajectories; the folder is then kept as long as the engine.
    """

    name = "xtb"
    install = "conda install -c conda-forge xtb (or, on Debian: apt-get install xtb)"

    def __init__(self, method: str = "gfn2", basis: str | None = None, n_threads: int = 1, keep_orbitals: bool = False):
        if method != "gfn2" or basis is not None:
            raise EngineError(f"xtb: the method must be gfn2, without a basis, got {method!r} and {basis!r}.")
        super().__init__(method, basis, n_threads)
        self._folder = tempfile.TemporaryDirectory(prefix="amp_tf_xtb_") if keep_orbitals else None

    @property
    def level_of_theory(self) -> str:
        return "GFN2-xTB"

    def _program(self) -> str:
        program = shutil.which("xtb")
        if program is None:
            raise EngineError(f"xtb is not installed; install it with: {self.install}")
        return program

    def version(self) -> str:
        finished = subprocess.run([self._program(), "--version"], capture_output=True, text=True)
        found = re.search(r"xtb version (\S+)", finished.stdout)
        if finished.returncode != 0 or not found:
            raise EngineError(f"xtb does not start ({' '.join(finished.stderr[-300:].split())}); reinstall it with: {self.install}")
        return found.group(1)

    def embedded(self, calculation: Calculation) -> EmbeddedResult:
        if self._folder is not None:
            return self._run(calculation, Path(self._folder.name))
        with tempfile.TemporaryDirectory(prefix="amp_tf_xtb_") as folder:
            return self._run(calculation, Path(folder))

    def _run(self, calculation: Calculation, folder: Path) -> EmbeddedResult:
        n_mm = 0 if calculation.mm_charges is None else len(calculation.mm_charges)
        for name in ("energy", "gradient", "pcgrad", "charges"):
            (folder / name).unlink(missing_ok=True)
        lines = [
            f"{x:.14f} {y:.14f} {z:.14f} {chemical_symbols[number].lower()}"
            for number, (x, y, z) in zip(calculation.atomic_numbers, calculation.positions_bohr, strict=True)
        ]
        (folder / "coord").write_text("\n".join(["$coord", *lines, "$end", ""]))
        command = [self._program(), "coord", "--gfn", "2", "--chrg", str(calculation.charge), "--grad"]
        if n_mm:
            columns = np.column_stack([calculation.mm_charges, calculation.mm_positions, np.full(n_mm, POINT_CHARGE_HARDNESS)])
            np.savetxt(folder / "point_charges", columns, fmt="%.14f", header=str(n_mm), comments="")
            (folder / "settings").write_text("$embedding\n input=point_charges\n interface=orca\n gradient=pcgrad\n$end\n")
            command += ["--input", "settings"]
        environment = os.environ | {"OMP_NUM_THREADS": f"{self.n_threads},1", "MKL_NUM_THREADS": str(self.n_threads)}
        finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace")
        if finished.returncode != 0:
            (folder / "xtbrestart").unlink(missing_ok=True)
            log = f"{finished.stdout[-2000:]} {finished.stderr[-2000:]}"
            reason = " ".join(log.split())[-300:]
            killed = finished.returncode in (-signal.SIGKILL, -signal.SIGTERM)
            raise (EngineError if killed else CalculationError)(f"xtb ended with exit status {finished.returncode}: {reason}")
        try:
            energy, qm_gradients = _read_gradient(folder / "gradient", len(lines))
            mm_gradients = np.loadtxt(folder / "pcgrad").reshape(n_mm, 3) * _GRADIENT if n_mm else np.zeros((0, 3))
            charges = np.loadtxt(folder / "charges").reshape(len(lines))
            dipole = _read_dipole(finished.stdout)
        except (OSError, ValueError, IndexError) as error:
            raise EngineError(f"xtb ended well, but its results cannot be read ({error}).") from error
        return EmbeddedResult(energy, qm_gradients, mm_gradients, charges, dipole)

    def __getstate__(self):
        """A copy in another process gets a folder of its own."""
        return {**self.__dict__, "_folder": self._folder is not None}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._folder = tempfile.TemporaryDirectory(prefix="amp_tf_xtb_") if state["_folder"] else None

    def __del__(self):
        with contextlib.suppress(AttributeError):
            if self._folder is not None:
                self._folder.cleanup()


def _read_gradient(path: Path, n_atoms: int) -> tuple[float, np.ndarray]:
    """Energy and gradient of the last cycle of a Turbomole gradient file, which xtb also writes the energy to, kJ/mol and angstrom."""
    lines = path.read_text().replace("D", "E").splitlines()
    start = max(number for number, line in enumerate(lines) if "SCF ENERGY" in line.upper() or "SCF EENERGY" in line.upper())
    energy = float(lines[start].split("=")[2].split()[0])
    rows = [[float(number) for number in line.split()] for line in lines[start + 1 + n_atoms : start + 1 + 2 * n_atoms]]
    return energy * units.HARTREE, np.array(rows).reshape(n_atoms, 3) * _GRADIENT


def _read_dipole(output: str) -> np.ndarray:
    """The molecular dipole of xtb's standard output, in e*bohr there, e*angstrom here."""
    found = re.search(r"molecular dipole:.*?full:\s+(\S+)\s+(\S+)\s+(\S+)", output, re.DOTALL)
    if not found:
        raise ValueError("there is no dipole in its output")
    return np.array([float(number) for number in found.groups()]) * units.BOHR
