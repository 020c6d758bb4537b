"""Ions and what they meet, with the tails that PhysNet is for: halides and methyl halides (SN2), pairs of ions, an ion and water.

``python -m datasets.ions build sn2-chloride`` and so on; finished parts are kept, the same command goes on.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from ase import Atoms
from ase.build import molecule as from_g2
from ase.data import atomic_masses, covalent_radii
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist, pdist
from scipy.spatial.transform import Rotation

from amp_tf import units
from amp_tf.command import run_command
from amp_tf.data.frames import RawFrame, as_reference_data
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.reference_data import Provenance
from amp_tf.errors import InputError
from amp_tf.files import check_outputs
from datasets.engines import EMBEDDING_ENGINES, Calculation, CalculationError, EmbeddingEngine
from datasets.parts import Arrays, Parts, failures_of, report, run_all

REACH = 16.0
"""No two atoms of a frame are farther apart, angstrom (Unke and Meuwly, J. Chem. Theory Comput. 15, 3678, 2019)."""

RATTLE = 0.06
"""Standard deviation of each coordinate of a fragment that stands apart, angstrom."""

MOST_TRIES = 10_000
"""Of placing fragments, for each frame."""

CONTACT = 1.1
"""Atoms of two fragments stand at least this many sums of their covalent radii apart where they are placed."""

FAR, CHARGE_ERROR = 6.0, 0.02
"""A fragment this far away, angstrom, has its own charge to this, e, or the method is wrong there and the frame is left out."""

LONGER = 0.6
"""By so much at most the bond that breaks is stretched where dynamics start, angstrom."""

TEMPERATURE, TIME_STEP, STRIDE, PER_RUN = 5000.0, 0.1, 10, 25
"""K, fs, steps between two kept frames, and kept frames of a run: as the paper's sampling of reactions."""


@dataclass(frozen=True)
class Fragment:
    """A molecule or ion.

    Attributes:
        name: an element, or a molecule of ASE's collection.
        charge: e.
    """

    name: str
    charge: int = 0

    def atoms(self) -> Atoms:
        """Its geometry."""
        if self.name == "NH4":
            corners = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
            return Atoms("NH4", np.concatenate([np.zeros((1, 3)), 1.03 * corners / np.sqrt(3.0)]))
        if self.name == "CH3F":  # which the collection lacks
            atoms = from_g2("CH3Cl")
            carbon, halogen = (int(np.flatnonzero(atoms.numbers == number)[0]) for number in (6, 17))
            atoms.numbers[halogen] = 9
            atoms.set_distance(carbon, halogen, 1.383, fix=0)
            return atoms
        return from_g2(self.name) if len(self.name) > 2 else Atoms(self.name, np.zeros((1, 3)))


@dataclass(frozen=True)
class IonSystem:
    """What is sampled.

    Attributes:
        pairs: two fragments each, all of one composition and charge.
        engine: ``"xtb"`` or ``"pyscf"``, with method and basis: one whose charges stay on the ions.
        reacts: whether hot dynamics start from each pair in contact.
        nearest: fragments stand at least this far apart, angstrom.
        contact: and at least this many sums of covalent radii.
    """

    pairs: tuple[tuple[Fragment, Fragment], ...]
    engine: tuple[str, str, str | None]
    reacts: bool = False
    nearest: float = 0.0
    contact: float = CONTACT


XTB, HARTREE_FOCK = ("xtb", "gfn2", None), ("pyscf", "hf", "def2-svpd")
SYSTEMS = {
    "sn2-chloride": IonSystem(((Fragment("Cl", -1), Fragment("CH3Cl")),), XTB, reacts=True),
    "sn2-fluoride": IonSystem(((Fragment("F", -1), Fragment("CH3Cl")), (Fragment("Cl", -1), Fragment("CH3F"))), HARTREE_FOCK, reacts=True),
    "sodium-chloride": IonSystem(((Fragment("Na", 1), Fragment("Cl", -1)),), HARTREE_FOCK, contact=0.75),
    "ammonium-sodium": IonSystem(((Fragment("NH4", 1), Fragment("Na", 1)),), XTB, nearest=FAR),
    "chloride-water": IonSystem(((Fragment("Cl", -1), Fragment("H2O")),), XTB),
    "formic-acid": IonSystem(((Fragment("HCOOH"), Fragment("HCOOH")),), XTB),
}
"""By name; the last is neutral, where charges must not change the tail."""


@dataclass(frozen=True)
class Task:
    """One part: frames placed apart, or a run of hot dynamics.

    Attributes:
        kind: ``"apart"``, ``"alone"`` or ``"reaction"``.
        system: name in :data:`SYSTEMS`.
        number: of the task, of which its random numbers are.
        n_frames: of the part.
        reach: angstrom.
    """

    kind: str
    system: str
    number: int
    n_frames: int
    reach: float


def engine_of(system: IonSystem) -> EmbeddingEngine:
    """The system's."""
    name, method, basis = system.engine
    return EMBEDDING_ENGINES[name](method=method, basis=basis)


def compute(task: Task) -> Arrays:
    """Positions, energies, gradients, dipoles and charges of a part's frames, with the reasons of those that were left out."""
    random = np.random.default_rng([task.number, *task.kind.encode()])
    system = SYSTEMS[task.system]
    engine, pair = engine_of(system), system.pairs[task.number % len(system.pairs)]
    make = {"apart": _apart, "alone": _alone, "reaction": _reaction}[task.kind]
    frames, left_out = [], []
    for numbers, positions, charge, parts in make(task, system, pair, engine, random):
        try:
            result = engine.embedded(Calculation(numbers, positions, charge=charge))
        except CalculationError as error:
            left_out.append(str(error)[:200])
            continue
        if complaint := _leak(positions, result.charges, parts):
            left_out.append(complaint)
            continue
        frames.append((positions, result.energy, result.qm_gradients, result.dipole, result.charges))
    if not frames:
        return {"failure": np.array("; ".join(dict.fromkeys(left_out))[:300] or "no frame")}
    columns = [np.array(column) for column in zip(*frames, strict=True)]
    names = ("positions", "energies", "gradients", "dipoles", "charges")
    return dict(zip(names, columns, strict=True)) | {
        "atomic_numbers": np.asarray(numbers), "charge": np.array(charge), "left_out": np.array(left_out, dtype="U300"),
    }  # fmt: skip


def _leak(positions: np.ndarray, charges: np.ndarray, parts: Sequence[tuple[np.ndarray, int]] | None) -> str | None:
    """Which fragment, far from the others, does not have its charge, in words.

    Args:
        positions, charges: of the atoms.
        parts: members and charge of each fragment; None: those that are apart, whose charges are whole numbers.
    """
    if parts is None:
        labels = connected_components(cdist(positions, positions) < 0.5 * FAR, directed=False)[1]
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        parts = [(members, int(np.round(charges[members].sum()))) for members in groups]
    for members, charge in parts:
        others = np.setdiff1d(np.arange(len(positions)), members)
        is_far = len(others) > 0 and cdist(positions[members], positions[others]).min() >= FAR
        if is_far and abs(charges[members].sum() - charge) > CHARGE_ERROR:
            return f"a fragment of {charge:+d} e, {FAR:g} angstrom or farther away, has {charges[members].sum():+.3f} e"
    return None


def _rattled(fragment: Fragment, random: np.random.Generator) -> Atoms:
    atoms = fragment.atoms()
    if len(atoms) > 1:
        atoms.positions += random.normal(scale=RATTLE, size=atoms.positions.shape)
        atoms.positions = Rotation.random(random_state=random).apply(atoms.positions - atoms.positions.mean(axis=0))
    return atoms


def joined(first: Atoms, second: Atoms, charges: tuple[int, int]):
    """Numbers and positions, in the order of the numbers, the total charge, and the members of both fragments."""
    numbers = np.concatenate([first.numbers, second.numbers])
    order = np.argsort(-numbers, kind="stable")
    place = np.argsort(order)
    parts = [(place[: len(first)], charges[0]), (place[len(first) :], charges[1])]
    return numbers[order], np.concatenate([first.positions, second.positions])[order], sum(charges), parts


def _apart(task: Task, system: IonSystem, pair, engine, random):
    """Fragments in random orientations and directions, as close as their radii allow, as far as the reach."""
    found = n_tried = 0
    while found < task.n_frames:
        n_tried += 1
        if n_tried > MOST_TRIES * task.n_frames:
            raise InputError(f"the fragments of {task.system} find no place within {task.reach:g} angstrom; give a longer reach.")
        first, second = (_rattled(fragment, random) for fragment in pair)
        direction = random.normal(size=3)
        second.positions += random.uniform(1.0, task.reach) * direction / np.linalg.norm(direction)
        distances = cdist(first.positions, second.positions)
        touching = system.contact * (covalent_radii[first.numbers][:, None] + covalent_radii[second.numbers])
        if np.all(distances > np.maximum(touching, system.nearest)) and distances.max() <= task.reach:
            found += 1
            yield joined(first, second, (pair[0].charge, pair[1].charge))


def _alone(task: Task, system: IonSystem, pair, engine, random):
    """One fragment without the other, which takes turns."""
    fragment = pair[(task.number // len(system.pairs)) % 2]
    for _ in range(task.n_frames if len(fragment.atoms()) > 1 else 1):  # a single atom has one geometry
        atoms = _rattled(fragment, random)
        order = np.argsort(-atoms.numbers, kind="stable")
        yield atoms.numbers[order], atoms.positions[order], fragment.charge, [(np.arange(len(atoms)), fragment.charge)]


def _reaction(task: Task, system: IonSystem, pair, engine, random):
    """Hot dynamics from between complex and transition state, the ion in line with the bond that it breaks; ends where the fragments leave
    the reach."""
    methyl = pair[1].atoms()
    leaving = int(np.argmax(methyl.numbers))
    carbon, halogen = methyl.positions[methyl.numbers == 6][0], methyl.positions[leaving].copy()
    axis = (carbon - halogen) / np.linalg.norm(carbon - halogen)
    methyl.positions[leaving] -= random.uniform(0.0, LONGER) * axis
    ion = Atoms(pair[0].name, [carbon + random.uniform(1.9, 3.2) * axis])
    numbers, positions, charge, _ = joined(ion, methyl, (pair[0].charge, pair[1].charge))
    masses = atomic_masses[numbers][:, None]
    # kJ/mol, g/mol and angstrom make velocities of 0.01 angstrom/fs
    velocities = 0.01 * np.sqrt(units.GAS_CONSTANT * TEMPERATURE / masses) * random.normal(size=positions.shape)
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()

    def acceleration(places: np.ndarray) -> np.ndarray:
        return -1e-4 * engine.embedded(Calculation(numbers, places, charge=charge)).qm_gradients / masses

    try:
        slope = acceleration(positions)
        for step in range(1, STRIDE * task.n_frames + 1):
            velocities = velocities + 0.5 * TIME_STEP * slope
            positions = positions + TIME_STEP * velocities
            slope = acceleration(positions)
            velocities = velocities + 0.5 * TIME_STEP * slope
            if pdist(positions).max() > task.reach:
                return
            if step % STRIDE == 0:
                yield numbers, positions, charge, None
    except CalculationError:  # what came before it is kept
        return


def build(name: str, n_frames: int, output: Path, command: str, workers: int = 1, reach: float = REACH) -> tuple[str, list[str]]:
    """Sample, label and write reference data.

    Half of the frames of a system that reacts are of hot dynamics and a fifth for fragments alone, otherwise a twentieth; a fragment of one
    atom, which has one geometry, gives one frame of its share.

    Returns:
        The sha256 of the content, and a line for each reason for which frames were left out.

    Raises:
        InputError: for an unknown system.
        EngineError: if its engine is not installed, or all calculations failed.
    """
    if name not in SYSTEMS:
        raise InputError(f"there is no system {name!r}; choose one of {', '.join(SYSTEMS)}.")
    check_outputs([output])
    system = SYSTEMS[name]
    engine = engine_of(system)
    method = {"engine": engine.name, "version": engine.version(), "level_of_theory": engine.level_of_theory}
    settings = {"system": name, "reach": reach, **method}
    share = {"reaction": 0.5, "alone": 0.2} if system.reacts else {"reaction": 0.0, "alone": 0.05}
    counts = {kind: round(part * n_frames) for kind, part in share.items()}
    counts["apart"] = n_frames - sum(counts.values())
    counts["alone"] = max(counts["alone"], 1)
    tasks = [
        Task(kind, name, number, min(PER_RUN, count - PER_RUN * number), reach)
        for kind, count in counts.items()
        if kind != "alone"
        for number in range(-(-count // PER_RUN))
    ]
    kinds_alone = 2 * len(system.pairs)  # each fragment of each pair
    tasks += [Task("alone", name, number, -(-counts["alone"] // kinds_alone), reach) for number in range(kinds_alone)]
    tasks = {f"{task.kind}_{task.number}_{task.n_frames}": task for task in tasks}  # a part of another size is another part
    parts = Parts(output.with_name(f"{output.name}.parts"), settings)
    run_all(tasks, compute, parts, workers, name)
    results = {part: parts[part] for part in tasks}
    failures = failures_of(results, parts)
    frames: list[RawFrame] = []
    for part in results.values():
        failures += [str(reason) for reason in part.get("left_out", ())]
        if "failure" in part:
            continue
        columns = (part[key] for key in ("positions", "energies", "gradients", "charges", "dipoles"))
        for positions, energy, gradients, charges, dipole in zip(*columns, strict=True):
            about = {"charges": charges, "dipole": dipole, "charge": float(part["charge"])}
            frames.append(RawFrame(part["atomic_numbers"], positions, float(energy), gradients, **about))
    data = as_reference_data(frames, output.name, engine.level_of_theory, command, "total energies of the engine")
    delivered = {kind: sum(len(part.get("energies", ())) for name, part in results.items() if name.startswith(kind)) for kind in counts}
    sampled = {"kinds": delivered, "left_out": len(failures), "reach_angstrom": reach, "temperature_k": TEMPERATURE}
    of_engine = {"engine": engine.name, "engine_version": engine.version(), "random_seed": 0, "settings": sampled}
    origin = data.provenance.model_dump() | of_engine
    return write_reference_data(output, Provenance(**origin), data.groups), failures


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__.split("\n")[0])


@app.callback()
def _of_all() -> None:
    """Ions and what they meet."""


@app.command("build")
def build_command(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SYSTEMS)}.")],
    output: Annotated[Path | None, typer.Option(help="The HDF5 file; runs/NAME.h5 by default. OUTPUT.parts beside it is kept.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="How many.")] = 2000,
    reach: Annotated[float, typer.Option(help="No two atoms are farther apart, angstrom.")] = REACH,
    workers: Annotated[int, typer.Option(min=1, help="Parts computed at a time.")] = 2,
) -> None:
    """Sample and label a system."""
    path = output or Path("runs") / f"{name}.h5"
    command = shlex.join(["python", "-m", "datasets.ions", *sys.argv[1:]])
    report(lambda: (path, *build(name, frames, path, command, workers, reach)))


if __name__ == "__main__":
    run_command(app)
