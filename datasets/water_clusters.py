"""Water clusters of Figure 3: one molecule in quantum mechanics, the others as point charges, MP2/aug-cc-pVTZ (paper, 4.2 and A.4).

Every frame holds the energy and the gradients that the surroundings cause: those of the molecule in the field of the charges less those of
the isolated molecule in the same geometry. Clusters of ten molecules serve for training, other clusters of ten and all other sizes for
testing. The clusters are minima: our own by basin hopping (:mod:`datasets.cluster_search`), or those of a folder of xyz files.

Run ``make dataset-water-clusters`` or ``python -m datasets.water_clusters --help``.
"""

import hashlib
import json
import shlex
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from amp_tf.command import run_command
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance
from amp_tf.errors import InputError
from amp_tf.files import check_outputs
from datasets.cluster_search import Minima, distinct, read_minima, search_record, walk, with_molecule_added
from datasets.engines import ENGINES, Calculation, CalculationError, Engine
from datasets.parts import Arrays, Parts, failures_of, report, run_all
from datasets.water_dimer import MONOMER_NUMBERS, monomer_positions

SHIPPED_FILE = Path(__file__).with_name("water_clusters.h5")
TRAINING_SIZE = 10
SIZES = tuple(range(6, 21))
OXYGEN_CHARGE, HYDROGEN_CHARGE = -0.914197, 0.457098
"""MBIS charges of the paper (A.4), e; a molecule sums to -1e-6 e, as published."""

TRAINING_GROUP = "n10_train"


@dataclass(frozen=True)
class Plan:
    """How large the data set is.

    Attributes:
        training_frames: of clusters of :data:`TRAINING_SIZE` molecules (paper: 1 289).
        test_frames: of every size, on clusters that training does not see.
        walks: basin-hopping walks of a size.
        training_walks: of the training size.
        hops: minimizations of a walk.
    """

    training_frames: int = 1289
    test_frames: int = 100
    walks: int = 2
    training_walks: int = 10
    hops: int = 400


@dataclass(frozen=True)
class Frame:
    """One molecule of one minimum: the cluster by its rank in energy within its size."""

    group: str
    size: int
    cluster: int
    molecule: int

    @property
    def name(self) -> str:
        """Of the part that holds its calculation."""
        return f"n{self.size:02d}_cluster{self.cluster:04d}_molecule{self.molecule:02d}"


def search_minima(sizes: Sequence[int], plan: Plan, seed: int, parts: Parts, workers: int, dask: str | None = None) -> dict[int, Minima]:
    """Minima of every size from the smallest to the largest; the walks of a size start from the best minimum of the size below."""
    minima: dict[int, Minima] = {}
    random = np.random.default_rng([seed, 0])
    start = monomer_positions()[None]
    for size in range(min(sizes), max(sizes) + 1):
        n_walks = plan.training_walks if size == TRAINING_SIZE else plan.walks
        tasks = {}
        for number in range(n_walks):
            grown = start
            while len(grown) < size:
                grown = with_molecule_added(grown, random)
            tasks[f"n{size:02d}_walk{number}"] = (grown, plan.hops, [seed, size, number])
        run_all(tasks, _walk, parts, workers, title=f"minima of (H2O){size}", dask=dask)
        found = [pair for name in tasks for pair in zip(parts[name]["positions"], parts[name]["energies"], strict=True)]
        if not found:
            raise InputError(f"no minimum of (H2O){size} was found in {plan.hops} hops; raise --hops.")
        minima[size] = distinct(found)
        start = minima[size].positions[0]
    return {size: minima[size] for size in sizes}


def _walk(task: tuple[np.ndarray, int, list[int]]) -> Arrays:
    return asdict(walk(*task))


def choose_frames(minima: Mapping[int, Minima], plan: Plan, seed: int) -> list[Frame]:
    """Which molecules of which minima: as few of one cluster as the number of minima allows, clusters and molecules drawn at random.

    Raises:
        InputError: if all molecules of all minima of a size are fewer than the frames that are asked for.
    """
    frames = []
    for size, of_size in minima.items():
        random = np.random.default_rng([seed, 1, size])
        order = random.permutation(len(of_size))
        shares = {f"n{size:02d}_test" if size == TRAINING_SIZE else f"n{size:02d}": (order, plan.test_frames)}
        if size == TRAINING_SIZE and plan.training_frames:
            total = plan.training_frames + plan.test_frames
            n_test = max(1, round(len(of_size) * plan.test_frames / total)) if plan.test_frames else 0
            shares = {TRAINING_GROUP: (order[n_test:], plan.training_frames), f"n{size:02d}_test": (order[:n_test], plan.test_frames)}
        for group, (clusters, n_frames) in shares.items():
            if n_frames > size * len(clusters):
                raise InputError(
                    f"{group}: {len(clusters)} minima of {size} molecules cannot give {n_frames} frames; "
                    "raise --hops, give more geometries, or lower the number of frames."
                )
            turns = [random.permutation(size) for _ in clusters]
            drawn = [(cluster, turns[number][turn]) for turn in range(size) for number, cluster in enumerate(clusters)][:n_frames]
            frames += [Frame(group, size, int(cluster), int(molecule)) for cluster, molecule in sorted(drawn)]
    return frames


def calculation_of(frame: Frame, minima: Mapping[int, Minima], charges: tuple[float, float], basis: str) -> Calculation:
    """The embedded molecule of a frame, its oxygen atom at the origin."""
    cluster = minima[frame.size].positions[frame.cluster]
    cluster = cluster - cluster[frame.molecule, 0]
    others = np.delete(cluster, frame.molecule, axis=0).reshape(-1, 3)
    oxygen, hydrogen = charges
    mm_charges = np.tile([oxygen, hydrogen, hydrogen], len(cluster) - 1)
    return Calculation(MONOMER_NUMBERS, cluster[frame.molecule], basis, mm_positions=others, mm_charges=mm_charges)


def _effect_of_the_field(task: tuple[Engine, Calculation]) -> Arrays:
    """Energy and gradients in the field less those of the isolated molecule; a calculation that fails is recorded."""
    engine, embedded = task
    isolated = Calculation(embedded.atomic_numbers, embedded.positions, embedded.basis, embedded.charge)
    try:
        energy, gradient = engine.energy_and_gradient(embedded)
        isolated_energy, isolated_gradient = engine.energy_and_gradient(isolated)
    except CalculationError as error:
        return {"failure": np.array(str(error))}
    return {
        "energy": np.array(energy - isolated_energy),
        "qm_gradients": gradient - isolated_gradient,
        "isolated_energy": np.array(isolated_energy),
    }


def make_group(name: str, frames: Sequence[Frame], calculations: Sequence[Calculation], results: Sequence[Arrays], minima) -> FrameGroup:
    """The frames of one group of the file; ``minima`` by size."""
    lengths = [len(calculation.mm_charges) for calculation in calculations]
    return FrameGroup(
        name,
        MONOMER_NUMBERS,
        np.stack([calculation.positions for calculation in calculations]),
        np.array([result["energy"] for result in results]),
        np.stack([result["qm_gradients"] for result in results]),
        mm_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        mm_positions=np.concatenate([calculation.mm_positions for calculation in calculations]),
        mm_charges=np.concatenate([calculation.mm_charges for calculation in calculations]),
        frame_properties={
            "size": np.array([frame.size for frame in frames]),
            "cluster": np.array([frame.cluster for frame in frames]),
            "molecule": np.array([frame.molecule for frame in frames]),
            "cluster_energy": np.array([minima[frame.size].energies[frame.cluster] for frame in frames]),
            "isolated_energy": np.array([result["isolated_energy"] for result in results]),
        },
    )


def build(
    output: Path, engine: Engine, plan: Plan, sizes: Sequence[int], seed: int, workers: int, command: str, *, basis: str = "aug-cc-pvtz",
    charges: tuple[float, float] = (OXYGEN_CHARGE, HYDROGEN_CHARGE), geometries: Path | None = None, skip_broken: bool = False,
    dask: str | None = None,
) -> tuple[str, list[str]]:  # fmt: skip
    """Find or read the minima, choose frames, compute them, resuming from the parts beside ``output``, and write the reference data file.

    Returns:
        The sha256 of the file's content, and a line for every frame that failed and is left out.
    """
    check_outputs([output], {"the geometries": geometries})
    version = engine.version()
    if not np.isfinite(charges).all():
        raise InputError(f"the charges of a water molecule are {charges[0]:g} and {charges[1]:g} e; give numbers.")
    excess = charges[0] + 2 * charges[1]
    if abs(excess) > 1e-5:
        warnings.warn(
            f"the charges of a water molecule sum to {excess:+g} e, not to 0; check --oxygen-charge and --hydrogen-charge.", stacklevel=2
        )
    parts_of = {kind: output.with_name(f"{output.name}.{kind}") for kind in ("minima", "parts")}
    if geometries is None:
        record = {"seed": seed, "sizes": list(sizes), "walks": plan.walks, "training_walks": plan.training_walks, "hops": plan.hops}
        record |= search_record()
        folder = parts_of["minima"] / hashlib.sha256(json.dumps(record).encode()).hexdigest()[:12]
        minima = search_minima(sizes, plan, seed, Parts(folder, record), workers, dask)
        origin = f"basin hopping on AMOEBA water, {plan.hops} hops a walk"
    else:
        minima = read_minima(geometries, sizes, skip_broken)
        origin = f"xyz files of {geometries.name}"
    frames = choose_frames(minima, plan, seed)
    settings: dict[str, object] = {"basis": basis, "oxygen_charge_e": charges[0], "hydrogen_charge_e": charges[1], "geometries": origin}
    parts = Parts(parts_of["parts"], settings | {"engine": engine.name, "version": version})
    calculations = {frame: calculation_of(frame, minima, charges, basis) for frame in frames}
    names = {frame: f"{frame.name}_{_digest(calculation)}" for frame, calculation in calculations.items()}
    tasks = {names[frame]: (engine, calculation) for frame, calculation in calculations.items()}
    run_all(tasks, _effect_of_the_field, parts, workers, title="molecules in the field of their clusters", dask=dask)
    results = {frame: parts[names[frame]] for frame in frames}
    failures = failures_of({names[frame]: results[frame] for frame in frames}, parts)
    groups = []
    for name in dict.fromkeys(frame.group for frame in frames):
        good = [frame for frame in frames if frame.group == name and "energy" in results[frame]]
        if good:
            groups.append(make_group(name, good, [calculations[f] for f in good], [results[f] for f in good], minima))
    provenance = Provenance(
        engine=engine.name,
        engine_version=version,
        level_of_theory=f"{engine.gradient_level_of_theory}, {basis}",
        builder_command=command,
        random_seed=seed,
        energy_reference="the isolated molecule in the same geometry; the charges' energy among themselves is left out",
        settings=settings
        | {
            "minima": {str(size): len(of_size) for size, of_size in minima.items()},
            "lowest_minimum_kj_per_mol": {str(size): of_size.energies[0] for size, of_size in minima.items()},
            "left_out": failures,
        },
    )
    return write_reference_data(output, provenance, tuple(groups)), failures


def _digest(calculation: Calculation) -> str:
    """What a part is named after beside its frame, so that it serves that geometry alone."""
    digest = hashlib.sha256(calculation.positions.tobytes())
    digest.update(calculation.mm_positions.tobytes())
    return digest.hexdigest()[:12]


def default_engine() -> str:
    """psi4 where it is installed, else PySCF."""
    return "psi4" if shutil.which("psi4") else "pyscf"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    output: Annotated[
        Path, typer.Option(help="The HDF5 file to write; minima and finished calculations are kept beside it in OUTPUT.minima and .parts.")
    ] = Path("runs/water_clusters.h5"),
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(ENGINES)}; psi4 where it is installed.")] = default_engine(),
    geometries: Annotated[
        Path | None, typer.Option(help="Folder of xyz files of minima, many frames a file, energy in kcal/mol on line 2 of each.")
    ] = None,
    skip_broken: Annotated[bool, typer.Option(help="Leave out broken frames of these files and name them.")] = False,
    training_frames: Annotated[int, typer.Option(min=0, help="Of clusters of ten molecules.")] = Plan.training_frames,
    test_frames: Annotated[int, typer.Option(min=0, help="Of every size.")] = Plan.test_frames,
    sizes: Annotated[str, typer.Option(help="Cluster sizes, comma-separated.")] = ",".join(map(str, SIZES)),
    walks: Annotated[int, typer.Option(min=1, help="Basin-hopping walks of a size.")] = Plan.walks,
    training_walks: Annotated[int, typer.Option(min=1, help="Of the training size.")] = Plan.training_walks,
    hops: Annotated[int, typer.Option(min=1, help="Minimizations of a walk.")] = Plan.hops,
    basis: Annotated[str, typer.Option(help="Orbital basis; the paper's is aug-cc-pvtz.")] = "aug-cc-pvtz",
    oxygen_charge: Annotated[float, typer.Option(help="Of the surrounding molecules, e.")] = OXYGEN_CHARGE,
    hydrogen_charge: Annotated[float, typer.Option(help="Of the surrounding molecules, e.")] = HYDROGEN_CHARGE,
    seed: Annotated[int, typer.Option(help="Of the walks and of the choice of frames.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Calculations at a time on this machine, one thread each.")] = 2,
    dask: Annotated[str | None, typer.Option(help="Address of a Dask scheduler whose workers compute instead.")] = None,
) -> None:
    """Build the reference data of water molecules in the field of their clusters."""

    def work():
        if engine not in ENGINES:
            raise InputError(f"unknown engine {engine!r}; choose one of {', '.join(ENGINES)}.")
        plan = Plan(training_frames, test_frames, walks, training_walks, hops)
        command = shlex.join(["python", "-m", "datasets.water_clusters", *sys.argv[1:]])
        return output, *build(
            output, ENGINES[engine](), plan, _sizes(sizes), seed, workers, command, basis=basis, charges=(oxygen_charge, hydrogen_charge),
            geometries=geometries, skip_broken=skip_broken, dask=dask,
        )  # fmt: skip

    report(work)


def _sizes(text: str) -> list[int]:
    try:
        sizes = sorted({int(size) for size in text.split(",")})
    except ValueError as error:
        raise InputError(f"--sizes {text!r}: give whole numbers separated by commas.") from error
    if sizes[0] < 2:
        raise InputError(f"--sizes {text!r}: a cluster has at least two molecules.")
    return sizes


if __name__ == "__main__":
    run_command(app)
