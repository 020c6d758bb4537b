"""Solutes in water for Tables 1 and 2: QM/MM molecular dynamics, and energies with all gradients of its snapshots (paper, 4.3 and A.5).

``sample`` runs the dynamics (:mod:`datasets.qmmm_sampling`) and labels the snapshots with the same method; ``relabel`` computes the
geometries of an existing file with another one, so that a cheap method can sample for an expensive one.

Run ``make dataset-uracil``, ``-retinoic-acid``, ``-sam-cysteine``, or ``python -m datasets.qmmm_solutes --help``.
"""

import dataclasses
import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import joblib
import numpy as np
import typer
from scipy.spatial.distance import pdist

from amp_tf.command import run_command
from amp_tf.data.convert import read_geometries
from amp_tf.data.frames import as_reference_data
from amp_tf.data.hdf5 import content_sha256, read_reference_data, write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance, ReferenceData
from amp_tf.errors import InputError
from amp_tf.files import check_outputs, locked
from amp_tf.simulation.solutes import PAPER_SOLUTES, Solute, check_shell, lennard_jones, solute_by_name, solute_from_smiles, solute_from_xyz
from datasets.engines import EMBEDDING_ENGINES, Calculation, CalculationError, EmbeddingEngine, XTBEngine
from datasets.for_dynamics import HIGHEST_ENERGY, frames_for_dynamics
from datasets.joining import join
from datasets.parts import Arrays, Parts, failures_of, report, run_all
from datasets.qmmm_sampling import Sampling, Trajectory, relaxed, sampling_record

SHIPPED_FILE = Path(__file__).with_name("uracil_sample.h5")
"""The first 50 frames of a trajectory of uracil, for tests and the smoke preset."""

FRAMES = {
    "smoke": {"uracil": 50},
    "laptop": {"uracil": 2000, "retinoic-acid": 1000, "sam-cysteine": 1000},
    "paper": dict.fromkeys(PAPER_SOLUTES, 10_000),
}
"""Snapshots of each solute that a preset of Tables 1 and 2 asks for."""


def label(task: tuple[EmbeddingEngine, Calculation]) -> Arrays:
    """What one snapshot's part holds; a calculation that fails is recorded as ``failure``."""
    engine, calculation = task
    isolated = Calculation(calculation.atomic_numbers, calculation.positions, charge=calculation.charge)
    try:
        result, alone = engine.embedded(calculation), engine.energy(isolated)
    except CalculationError as error:
        return {"failure": np.array(str(error))}
    return {
        "energy": np.array(result.energy),
        "qm_gradients": result.qm_gradients,
        "mm_gradients": result.mm_gradients.astype(np.float32),
        "charges": result.charges,
        "dipole": result.dipole,
        "isolated_energy": np.array(alone),
    }


def label_all(
    calculations: Mapping[str, Calculation], engine: EmbeddingEngine, parts: Parts, workers: int, dask: str | None
) -> tuple[dict[str, Arrays], list[str]]:
    """The labels by name of the part, in the order of ``calculations``, and a line for every one that failed.

    Raises:
        EngineError: if all failed.
    """
    run_all({name: (engine, calculation) for name, calculation in calculations.items()}, label, parts, workers, "labels", dask)
    results = {name: parts[name] for name in calculations}
    failures = failures_of(results, parts)
    return {name: result for name, result in results.items() if "failure" not in result}, failures


def make_group(name: str, calculations: Sequence[Calculation], results: Sequence[Arrays], reference_energy: float) -> FrameGroup:
    """The frames of a file; arrays of MM particles in single precision, which holds positions to a millionth of an angstrom."""
    lengths = [len(calculation.mm_charges) for calculation in calculations]
    first = calculations[0]
    return FrameGroup(
        name,
        first.atomic_numbers,
        np.stack([calculation.positions for calculation in calculations]),
        np.array([result["energy"] for result in results]) - reference_energy,
        np.stack([result["qm_gradients"] for result in results]),
        mm_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        mm_positions=np.concatenate([calculation.mm_positions for calculation in calculations]).astype(np.float32),
        mm_charges=np.concatenate([calculation.mm_charges for calculation in calculations]).astype(np.float32),
        mm_gradients=np.concatenate([result["mm_gradients"] for result in results]),
        charges=np.stack([result["charges"] for result in results]),
        dipoles=np.stack([result["dipole"] for result in results]),
        total_charge=float(first.charge),
        frame_properties={"isolated_energy": np.array([result["isolated_energy"] for result in results]) - reference_energy},
    )


def sample(
    output: Path, solute: Solute, engine: EmbeddingEngine, sampling: Sampling, workers: int, command: str, box: float | None = None,
    dask: str | None = None, for_dynamics: bool = False,
) -> tuple[str, list[str]]:  # fmt: skip
    """Sample and label, resuming from what is kept beside ``output``, and write the reference data file.

    With ``for_dynamics`` groups of distorted frames follow that of the snapshots (:mod:`datasets.for_dynamics`).

    Returns:
        The sha256 of the file's content, and a line for every frame that failed and is left out.

    Raises:
        InputError: if another process samples into the same file, or it is of other settings.
        AmpTFError: if it was interrupted or the engine failed; says how to go on.
    """
    check_outputs([output])
    with locked(_trajectory_folder(output)):
        return _sample(output, solute, engine, sampling, workers, command, box, dask, for_dynamics)


def _trajectory_folder(output: Path) -> Path:
    return output.with_name(f"{output.name}.trajectory")


def _sample(
    output: Path, solute: Solute, engine: EmbeddingEngine, sampling: Sampling, workers: int, command: str, box: float | None,
    dask: str | None, for_dynamics: bool,
) -> tuple[str, list[str]]:  # fmt: skip
    if not solute.name or "/" in solute.name:
        raise InputError(f"the name {solute.name!r} must be a word without '/'; it names the group of the file.")
    lennard_jones(solute)  # complains about an element without parameters before any work
    start, version = solute, engine.version()
    method = {"engine": engine.name, "version": version, "level_of_theory": engine.level_of_theory}
    driver = XTBEngine(engine.method, n_threads=engine.n_threads, keep_orbitals=True) if isinstance(engine, XTBEngine) else engine
    solute, energy, charges = relaxed(solute, engine)
    record = sampling_record(sampling, box) | method | {"solute": solute_identity(start)}
    trajectory = Trajectory(solute, charges, driver, sampling, Parts(_trajectory_folder(output), record), box, joblib.cpu_count())
    trajectory.run()
    of_kinds = {solute.name: trajectory.calculations()}
    if for_dynamics:
        for kind, name, calculation in frames_for_dynamics(trajectory, engine):
            of_kinds.setdefault(f"{solute.name}, {kind}", {})[name] = calculation
    together = {name: calculation for calculations in of_kinds.values() for name, calculation in calculations.items()}
    results, failures = label_all(together, engine, Parts(output.with_name(f"{output.name}.parts"), method), workers, dask)
    alone = {name: float(result["isolated_energy"]) for name, result in results.items()}
    limit = HIGHEST_ENERGY + max((alone[name] for name in of_kinds[solute.name] if name in alone), default=0.0)
    too_high = {name for name in alone if name not in of_kinds[solute.name] and alone[name] > limit}
    failures += [f"{name}: more than {HIGHEST_ENERGY:g} kJ/mol above all snapshots" for name in sorted(too_high)]
    good = {kind: [name for name in calculations if name in results and name not in too_high] for kind, calculations in of_kinds.items()}
    groups = [
        make_group(kind, [of_kinds[kind][name] for name in names], [results[name] for name in names], energy)
        for kind, names in good.items()
        if names
    ]
    shares = {"shares": {kind: len(names) for kind, names in good.items()}} if for_dynamics else {}
    provenance = Provenance(
        engine=engine.name,
        engine_version=version,
        level_of_theory=engine.level_of_theory,
        builder_command=command,
        random_seed=sampling.seed,
        energy_reference=f"the isolated {solute.name} at its relaxed geometry; the charges' energy among themselves and all "
        "Lennard-Jones terms are left out; the frame property isolated_energy is that of the frame's geometry without charges",
        settings=record | {"reference_energy_kj_per_mol": energy, "box_angstrom": trajectory.box, "left_out": failures} | shares,
    )
    return write_reference_data(output, provenance, tuple(groups)), failures


def relabel(
    source: ReferenceData, output: Path, engine: EmbeddingEngine, workers: int, command: str, dask: str | None = None,
    relaxed_energy: float | None = None,
) -> tuple[str, list[str]]:  # fmt: skip
    """The geometries of ``source`` with the labels of another method.

    Energies are relative to ``relaxed_energy``, that of the isolated molecule at its minimum, kJ/mol; where it is not given, to the
    isolated molecule in its first frame (the first that did not fail), one zero for all groups of one composition and charge.

    Returns:
        As :func:`sample`.

    Raises:
        InputError: for data without MM particles, open shells, and charges that are no whole numbers.
        EngineError: if all calculations failed.
    """
    check_outputs([output], {"the source of the geometries": source.source})
    version = engine.version()
    method = {"engine": engine.name, "version": version, "level_of_theory": engine.level_of_theory}
    if len({group.name for group in source.groups}) < len(source.groups):
        raise InputError(f"{source.source}: two groups have one name; give each its own.")
    for group in source.groups:
        where = f"{source.source}: group {group.name!r}"
        if group.mm_offsets is None:
            raise InputError(f"{where} has no MM particles; relabel is for QM/MM data.")
        if abs(group.total_charge - round(group.total_charge)) > 1e-6:
            raise InputError(f"{where} has a total charge of {group.total_charge:.7g} e, no whole number; correct it.")
        check_shell(where, group.qm_atomic_numbers, round(group.total_charge))
    parts = Parts(output.with_name(f"{output.name}.parts"), method)
    of_groups = {group.name: _calculations_of(group) for group in source.groups}
    together = {name: calculation for calculations in of_groups.values() for name, calculation in calculations.items()}
    results, failures = label_all(together, engine, parts, workers, dask)
    groups, references, zeros = [], {}, {}
    for group, calculations in of_groups.items():
        if good := [name for name in calculations if name in results]:
            first = calculations[good[0]]
            molecule = (*np.sort(first.atomic_numbers).tolist(), first.charge)
            first_energy = float(results[good[0]]["isolated_energy"])
            references[group] = zeros.setdefault(molecule, first_energy) if relaxed_energy is None else relaxed_energy
            groups.append(make_group(group, [calculations[name] for name in good], [results[name] for name in good], references[group]))
    old = source.provenance
    provenance = Provenance(
        engine=engine.name,
        engine_version=version,
        level_of_theory=engine.level_of_theory,
        builder_command=command,
        random_seed=old.random_seed,
        energy_reference=f"the isolated molecule {'in the geometry of its first frame' if relaxed_energy is None else 'at its minimum'}; "
        "the charges' energy among themselves and all Lennard-Jones terms are left out",
        settings={
            "geometries_sha256": source.sha256,
            "geometries_level_of_theory": old.level_of_theory,
            "geometries_settings": old.settings,
            "reference_energies_kj_per_mol": references,
            "left_out": failures,
        },
    )
    return write_reference_data(output, provenance, tuple(groups)), failures


def _calculations_of(group: FrameGroup) -> dict[str, Calculation]:
    """Of each frame, by a name that tells its geometry too."""
    calculations = {}
    for frame in range(len(group)):
        system = group.system(frame)
        digest = hashlib.sha256(repr((system.atomic_numbers.tolist(), group.total_charge)).encode())
        for array in (system.positions, system.mm_positions, system.mm_charges):
            digest.update(array.tobytes())
        calculations[f"{group.name}_{frame:06d}_{digest.hexdigest()[:12]}"] = Calculation(
            system.atomic_numbers, system.positions, charge=round(group.total_charge), mm_positions=system.mm_positions,
            mm_charges=system.mm_charges,
        )  # fmt: skip
    return calculations


def spread(data: ReferenceData, n_frames: int | None) -> ReferenceData:
    """``n_frames`` frames of each group that has more, spread evenly over it; None: all."""
    if n_frames is None:
        return data
    groups = [
        group.subset(np.unique(np.linspace(0, len(group) - 1, min(n_frames, len(group))).round().astype(int))) for group in data.groups
    ]
    return dataclasses.replace(data, groups=tuple(groups))


def geometries(path: Path, pc: Path, charge: int | None = None) -> ReferenceData:
    """The frames of an extended xyz and of its point charges, as :func:`relabel` takes them: the energies are 0.

    Raises:
        InputError, DataFileError: as :func:`amp_tf.data.convert.read_geometries`.
    """
    data = as_reference_data(read_geometries(path, pc, charge), str(path), "none, geometries alone", "")
    return dataclasses.replace(data, sha256=content_sha256(data.provenance, data.groups))


def solute_identity(solute: Solute) -> dict[str, object]:
    """What a solute is, for the record of a trajectory."""
    digest = hashlib.sha256(np.round(pdist(solute.positions), 2).tobytes()).hexdigest()[:12]
    return {"name": solute.name, "charge": solute.charge, "atomic_numbers": solute.atomic_numbers.tolist(), "geometry": digest}


def make_engine(name: str, method: str | None, basis: str | None, n_threads: int) -> EmbeddingEngine:
    """An engine by its name; its default method and basis where none is given.

    Raises:
        InputError: for an unknown engine.
    """
    if name not in EMBEDDING_ENGINES:
        raise InputError(f"unknown engine {name!r}; choose one of {', '.join(EMBEDDING_ENGINES)}.")
    choices = {key: value for key, value in {"method": method, "basis": basis}.items() if value is not None}
    return EMBEDDING_ENGINES[name](n_threads=n_threads, **choices)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__.split("\n")[0])

ENGINE = Annotated[str, typer.Option(help=f"One of {', '.join(EMBEDDING_ENGINES)}.")]
METHOD = Annotated[str | None, typer.Option(help="gfn2 (xtb); a functional such as pbe (pyscf), which is its default.")]
BASIS = Annotated[str | None, typer.Option(help="Orbital basis, such as def2-svp (pyscf).")]
WORKERS = Annotated[int, typer.Option(min=1, help="Labels computed at a time on this machine.")]
THREADS = Annotated[int, typer.Option(min=1, help="Threads of one calculation.")]
DASK = Annotated[str | None, typer.Option(help="Address of a Dask scheduler whose workers compute the labels instead.")]


@app.command("sample")
def sample_command(
    name: Annotated[str, typer.Argument(help=f"{', '.join(PAPER_SOLUTES)}; with --smiles or --xyz the name of your own.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="The HDF5 file; runs/NAME.h5 by default, for dynamics runs/NAME-dynamics.h5. OUTPUT.trajectory and OUTPUT.parts beside "
            "it are kept."
        ),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Snapshots; by default what the preset asks for.")] = None,
    preset: Annotated[str, typer.Option(help="laptop or paper: the snapshots that Tables 1 and 2 ask for.")] = "laptop",
    stride: Annotated[int, typer.Option(min=1, help="Steps of 0.5 fs between two snapshots.")] = Sampling(1).stride,
    smiles: Annotated[str | None, typer.Option(help="A solute of your own.")] = None,
    xyz: Annotated[Path | None, typer.Option(help="A solute of your own, with --charge.")] = None,
    charge: Annotated[int | None, typer.Option(help="Of the solute in --xyz, e; that of the file (charge=...) or 0.")] = None,
    engine: ENGINE = "xtb",
    method: METHOD = None,
    basis: BASIS = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="K.")] = Sampling(1).temperature,
    zone: Annotated[float, typer.Option(min=1.0, help="Water this close to a QM atom is embedded, angstrom.")] = Sampling(1).zone,
    box: Annotated[float | None, typer.Option(help="Edge of the box, angstrom; as small as the zone allows by default.")] = None,
    equilibration: Annotated[float, typer.Option(min=0.0, help="Classical, ps.")] = Sampling(1).equilibration,
    qm_equilibration: Annotated[int, typer.Option(min=0, help="QM/MM steps before the first snapshot.")] = Sampling(1).qm_equilibration,
    seed: Annotated[int, typer.Option(help="Of conformer, velocities and thermostat.")] = 0,
    for_dynamics: Annotated[
        bool, typer.Option("--for-dynamics", help="As many frames more: hot, stretched, in normal modes, in gas, in scaled charges.")
    ] = False,
    workers: WORKERS = 2,
    threads: THREADS = 1,
    dask: DASK = None,
) -> None:
    """Run QM/MM dynamics of a solute in water and label its snapshots."""

    def work():
        if smiles is not None and xyz is not None:
            raise InputError("give --smiles or --xyz, not both.")
        if charge is not None and xyz is None:
            raise InputError("--charge goes with --xyz; a SMILES states its charge.")
        if smiles is not None:
            solute = solute_from_smiles(smiles, name, seed)
        elif xyz is not None:
            found = solute_from_xyz(xyz, charge)
            solute = Solute(name, found.atomic_numbers, found.positions, found.charge)
        else:
            solute = solute_by_name(name, seed)
        number = frames or FRAMES.get(preset, {}).get(name)
        if number is None:
            raise InputError(f"there is no number of frames for {name!r} at PRESET={preset}; give --frames.")
        settings = Sampling(
            number, stride, zone=zone, temperature=temperature, equilibration=equilibration, qm_equilibration=qm_equilibration, seed=seed
        )
        file = output or Path("runs") / f"{name}{'-dynamics' if for_dynamics else ''}.h5"
        check_outputs([file], {"the solute": xyz})
        return file, *sample(
            file, solute, make_engine(engine, method, basis, threads), settings, workers, _command(), box, dask, for_dynamics
        )

    report(work)


@app.command("relabel")
def relabel_command(
    source: Annotated[Path, typer.Argument(help="QM/MM reference data, *.h5; or, with --pc, the geometries of an extended xyz.")],
    output: Annotated[Path, typer.Argument(help="The file to write; finished calculations are kept beside it in OUTPUT.parts.")],
    pc: Annotated[Path | None, typer.Option(help="Point charges around an extended xyz: a frame is a count, then lines q x y z.")] = None,
    charge: Annotated[int | None, typer.Option(help="Total charge of an extended xyz, e; that of its frames (charge=...) or 0.")] = None,
    engine: ENGINE = "pyscf",
    method: METHOD = None,
    basis: BASIS = None,
    frames: Annotated[int | None, typer.Option(min=1, help="So many frames of each group, spread evenly; all by default.")] = None,
    workers: WORKERS = 2,
    threads: THREADS = 1,
    dask: DASK = None,
) -> None:
    """Compute the geometries of a file anew with another method: two calculations a frame, with and without the charges."""

    def work():
        check_outputs([output], {"the source of the geometries": source, "the point charges": pc})
        chosen = make_engine(engine, method, basis, threads)
        if source.suffix in (".xyz", ".extxyz") and pc is None:
            raise InputError(f"{source}: an extended xyz needs --pc, the file of its point charges.")
        if charge is not None and pc is None:
            raise InputError("--charge goes with --pc and an extended xyz; reference data state their charge.")
        data = read_reference_data(source) if pc is None else geometries(source, pc, charge)
        return output, *relabel(spread(data, frames), output, chosen, workers, _command(), dask)

    report(work)


@app.command("join")
def join_command(
    sources: Annotated[list[Path], typer.Argument(help="Files of sample, relabel or join, and last the file to write.")],
) -> None:
    """Several files of one level of theory as one, for training: SOURCE SOURCE ... OUTPUT."""

    def work():
        if len(sources) < 3:
            raise InputError("give two files to join, or more, and last the file to write.")
        *found, output = sources
        return output, join([read_reference_data(path) for path in found], output, _command()), []

    report(work)


def _command() -> str:
    return shlex.join(["python", "-m", "datasets.qmmm_solutes", *sys.argv[1:]])


if __name__ == "__main__":
    run_command(app)
