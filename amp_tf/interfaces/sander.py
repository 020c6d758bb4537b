"""AMBER's sander with a potential in place of ORCA: a server that keeps the potential loaded, and a program ``orca`` that asks it.

With ``qm_theory='EXTERN'`` and a namelist ``&orc`` sander writes ``orc_job.inp`` (with total charge and multiplicity), ``inpfile.xyz`` (QM
atoms, angstrom) and, for ``qmmm_int=1``, ``ptchrg.xyz`` (q x y z of the MM atoms within ``qmcut``). It runs ``orca orc_job.inp``, takes the
dipole from its output, energy and QM gradients from ``orc_job.engrad`` and MM gradients from ``orc_job.pcgrad``, in atomic units.
"""

import os
import re
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers as NUMBER_OF_SYMBOL

from amp_tf import units
from amp_tf.data.text import plain_count, plain_number, read_lines
from amp_tf.errors import AmpTFError, DataFileError, InputError
from amp_tf.files import as_folder, locked, write_text
from amp_tf.interfaces.zone import check_margin, check_ranges
from amp_tf.models import Potential
from amp_tf.models.ranges import MARGIN
from amp_tf.systems import System
from amp_tf.targets import require_energy

JOB, ATOMS, CHARGES = "orc_job.inp", "inpfile.xyz", "ptchrg.xyz"
RESULTS = ENERGY, MM_GRADIENTS = "orc_job.engrad", "orc_job.pcgrad"

SECONDS_TO_ASK = 10.0
"""So long may a client take to say what it wants."""

CLIENT = '''#!{python}
"""Written by amp-tf serve: in place of ORCA, for sander."""
import os
import socket
import sys

for name in {results!r}:  # of the step before
    if os.path.exists(name):
        os.remove(name)
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
try:
    connection.connect({socket!r})
except OSError as error:
    sys.exit(f"error: amp-tf serve does not answer at {socket} ({{error.strerror}}); start it again.")
with connection:
    connection.sendall(os.getcwd().encode() + b"\\n")
    with connection.makefile(encoding="utf-8") as answer:
        failed, text = answer.readline().strip() != "done", answer.read()
sys.stdout.write(text)
if failed:
    sys.exit(text.strip() or "error: amp-tf serve was stopped; start it again.")
'''
"""The program ``orca``: it imports nothing of ours, so that it starts within milliseconds."""


def serve(potential: Potential, folder: Path, xla: bool = True, tell: Callable[[str], None] = print, margin: float = MARGIN) -> None:
    """Answer sander until it is interrupted.

    Args:
        potential: embeds charges, for ``qmmm_int=1``.
        folder: in which the program ``orca`` and the socket are made; put it in front of ``PATH`` where sander runs.
        xla: compile the potential, which takes seconds at the first step.
        tell: is told what to do, and of calculations that failed.
        margin: how far beyond the distances of its training data the potential may be asked, angstrom, before sander is stopped.

    Raises:
        InputError: if another server works in the folder, or its path is too long for a socket.
    """
    require_energy(potential, "sander")
    check_margin(margin)
    folder = as_folder(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    address = folder / "socket"
    _check_is_free(address)
    with locked(folder), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        _bind(listener, address)
        program = folder / "orca"
        write_text(program, CLIENT.format(python=sys.executable, socket=str(address), results=RESULTS))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        listener.listen()
        try:
            tell(f"ready; where sander runs: export PATH={folder}:$PATH")
            while True:
                connection, _ = listener.accept()
                with connection:
                    _answer(potential, connection, xla, tell, margin)
        except KeyboardInterrupt:
            tell("stopped")
        finally:
            address.unlink(missing_ok=True)


def _check_is_free(address: Path) -> None:
    if address.exists():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(address)) == 0:
                raise InputError(f"{address.parent} is served already; choose another folder.")


def _bind(listener: socket.socket, address: Path) -> None:
    address.unlink(missing_ok=True)  # of a server that was killed
    before = os.umask(0o077)
    try:
        listener.bind(str(address))
    except OSError as error:
        raise InputError(f"no socket can be made at {address} ({error}); choose a folder with a shorter path.") from error
    finally:
        os.umask(before)


def _answer(potential: Potential, connection: socket.socket, xla: bool, tell: Callable[[str], None], margin: float) -> None:
    """Compute in the folder that a client names."""
    connection.settimeout(SECONDS_TO_ASK)
    try:
        with connection.makefile("r", encoding="utf-8") as question:
            line = question.readline()
    except (OSError, ValueError):  # who connected left, or says nothing
        return
    if not (line.startswith("/") and line.endswith("\n")):  # no client of ours, or another server asked whether this one is there
        return
    name = line.rstrip("\n")
    try:
        answer = f"done\n{run_job(potential, Path(name), xla, margin)}"
    except (AmpTFError, OSError) as error:
        answer = f"failed\nerror: {error}\n"
        tell(f"{name}: {error}")
    try:
        connection.sendall(answer.encode())
    except OSError:
        tell(f"{name}: sander did not wait for the answer")


def run_job(potential: Potential, folder: Path, xla: bool = False, margin: float | None = None) -> str:
    """Read sander's files in a folder, write what it reads there, and return what ORCA would print.

    Raises:
        DataFileError: for a file that is missing or damaged.
        InputError: for an open shell, or what the potential cannot compute.
        SimulationError: beyond ``margin`` (angstrom) of the training data; without one, a warning.
    """
    job = "\n".join(read_lines(folder / JOB))
    found = re.search(r"^\s*\*\s*xyzfile\s+([-+]?\d+)\s+(\d+)", job, re.IGNORECASE | re.MULTILINE)
    if not found:
        raise DataFileError(f"{folder / JOB}: no line '*xyzfile CHARGE MULTIPLICITY'; is it written by sander?")
    charge, multiplicity = map(int, found.groups())
    if multiplicity != 1:
        raise InputError(f"{folder / JOB}: a multiplicity of {multiplicity}; only closed shells are supported, set spin=1.")
    symbols, positions = _read(folder / ATOMS, first_is_symbol=True)
    unknown = sorted({symbol for symbol in symbols if not NUMBER_OF_SYMBOL.get(symbol.capitalize())})
    if unknown:
        raise DataFileError(f"{folder / ATOMS}: {', '.join(unknown)} is no element.")
    around = {}
    if re.search(r"^\s*%\s*pointcharges", job, re.IGNORECASE | re.MULTILINE):
        charges, mm_positions = _read(folder / CHARGES, first_is_symbol=False)
        around = {"mm_positions": mm_positions, "mm_charges": np.array(charges)}
    numbers = np.array([NUMBER_OF_SYMBOL[symbol.capitalize()] for symbol in symbols])
    if margin is not None:
        check_ranges([potential], System(numbers, positions, float(charge), **around), margin)
    result = potential.compute(numbers, positions, total_charge=float(charge), xla=xla, **around)
    energy = result["energy"] / units.HARTREE
    per_bohr = units.BOHR / units.HARTREE
    gradients = "\n".join(f"{value:22.12f}" for value in np.ravel(result["qm_gradients"]) * per_bohr)
    header = f"#\n# Number of atoms\n#\n {len(numbers)}\n#\n# The current total energy in Eh\n#\n"
    (folder / ENERGY).write_text(f"{header}{energy:22.12f}\n#\n# The current gradient in Eh/bohr\n#\n{gradients}\n")
    if around:
        rows = "\n".join("".join(f"{value:18.12f}" for value in row) for row in result["mm_gradients"] * per_bohr)
        (folder / MM_GRADIENTS).write_text(f"{len(charges)}\n{rows}\n")
    dipole = result.get("dipole", np.zeros(3)) / units.BOHR
    return (
        f"FINAL SINGLE POINT ENERGY {energy:22.12f}\n"
        f"Total Dipole Moment    : {dipole[0]:12.5f} {dipole[1]:12.5f} {dipole[2]:12.5f}\n"
        "                        -----------------------------------------\n"
        f"Magnitude (a.u.)       : {np.linalg.norm(dipole):12.5f}\n"
    )


def _read(path: Path, first_is_symbol: bool) -> tuple[list, np.ndarray]:
    """The first column, symbols or numbers, and the other three, of a file of a count, a line of no meaning, and rows."""
    lines = read_lines(path)
    try:
        count = plain_count(lines[0])
        rows = [line.split() for line in lines[2 : 2 + count]]
        if len(rows) < count or any(len(row) != 4 for row in rows):
            raise ValueError(f"{count} rows of four columns must follow")
        first = [row[0] if first_is_symbol else plain_number(row[0]) for row in rows]
        return first, np.array([[plain_number(word) for word in row[1:]] for row in rows]).reshape(-1, 3)
    except (ValueError, IndexError) as error:
        raise DataFileError(f"{path}: not what sander writes ({error}); run sander again.") from error
