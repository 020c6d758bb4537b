"""Memory of training on QM/MM data larger than memory should hold: 10 000 frames of 2 500 MM particles. ``make benchmark``.

The data are random numbers in the layout of real ones (uracil, particles at the density of water) and serve no other purpose. Reading them
and training on them each run in a process of their own, which reports the largest memory that it held; TensorFlow alone takes 0.6 GB.
"""

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import typer

from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance
from benchmarks.step_time import RESULTS
from common.made_up_systems import NEAR_CUTOFF
from common.results import Row, format_table, row, write_result
from common.solute_model import MODEL, PAPER_SETTINGS
from common.timing import largest_memory
from datasets.qmmm_solutes import SHIPPED_FILE

N_PARTICLES = 2_500
STEPS = 20
EVALUATED = 50


def write_random_data(path: Path, n_frames: int) -> None:
    """The first molecule of the sample with noise, charges in a shell around it, and labels, all random."""
    random = np.random.default_rng(0)
    molecule = read_reference_data(SHIPPED_FILE).groups[0].system(0)
    n_atoms, n_mm = len(molecule.atomic_numbers), n_frames * N_PARTICLES
    directions = random.normal(size=(n_mm, 3)).astype(np.float32)
    directions *= (random.uniform(6.0**3, 18.0**3, size=n_mm) ** (1.0 / 3.0) / np.linalg.norm(directions, axis=1))[:, None]
    group = FrameGroup(
        "uracil",
        molecule.atomic_numbers,
        molecule.positions + random.normal(scale=0.02, size=(n_frames, n_atoms, 3)),
        random.normal(size=n_frames),
        random.normal(size=(n_frames, n_atoms, 3)),
        mm_offsets=N_PARTICLES * np.arange(n_frames + 1),
        mm_positions=directions + molecule.positions.mean(axis=0).astype(np.float32),
        mm_charges=np.resize(np.float32([-0.8476, 0.4238, 0.4238]), n_mm),
        mm_gradients=random.normal(size=(n_mm, 3)).astype(np.float32),
    )
    words = dict.fromkeys(("engine", "engine_version", "level_of_theory", "builder_command", "energy_reference"), "none, random numbers")
    write_reference_data(path, Provenance(**words, random_seed=0), (group,))


def _read(path: Path, results) -> None:
    started = time.perf_counter()
    read_reference_data(path)
    results.put((time.perf_counter() - started, largest_memory()))


def _train(path: Path, xla: bool, results) -> None:
    from amp_tf.data.pipeline import LABELS, Frames, GraphBatches
    from amp_tf.training import evaluate, make_config
    from amp_tf.training.run import compile_potential, make_potential

    config = make_config(
        {
            "data": path,
            "model": MODEL | {"near_cutoff": NEAR_CUTOFF},
            "steps": STEPS,
            "interval": STEPS,
            "batch_size": 1,
            "xla": xla,
            **PAPER_SETTINGS,
        }
    )
    started = time.perf_counter()
    data = read_reference_data(path)
    frames = Frames.from_reference_data(data)
    potential = make_potential(config, data, frames)
    compile_potential(potential, config, LABELS)
    batches = GraphBatches(potential, frames, LABELS, xla)
    potential.fit(batches.training(1, config.seed, STEPS), steps_per_epoch=STEPS, verbose=0, shuffle=False)
    evaluate(potential, frames[np.arange(EVALUATED)])
    results.put((time.perf_counter() - started, largest_memory()))


def _in_a_process(work, *arguments) -> tuple[float, float]:
    """Seconds and gigabytes of ``work(*arguments, results)`` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=work, args=(*arguments, results))
    process.start()
    while process.is_alive() and results.empty():
        process.join(timeout=1.0)
    if results.empty():
        raise SystemExit(f"error: {work.__name__.strip('_')} ended with exit code {process.exitcode}; see above.")
    found = results.get()
    process.join()
    return found


def measure(n_frames: int) -> list[Row]:
    """Rows of one number of frames."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.h5"
        write_random_data(path, n_frames)
        size = path.stat().st_size / 1e9
        works = {
            "read and check": (_read, path),
            f"{STEPS} training steps, {EVALUATED} frames evaluated": (_train, path, False),
            "the same with XLA": (_train, path, True),
        }
        for name, (work, *arguments) in works.items():
            seconds, memory = _in_a_process(work, *arguments)
            for metric, unit, value in (("time", "s", seconds), ("memory", "GB", memory), ("file", "GB", size)):
                rows.append(row(metric, unit, value, None, frames=n_frames, work=name))
    return rows


def table(rows: list[Row]) -> str:
    """One line a number of frames and kind of work."""
    values = {(entry["frames"], entry["work"], entry["metric"]): entry["value"] for entry in rows}
    works = dict.fromkeys(key[:2] for key in values)
    lines = [[*work, *(values[(*work, metric)] for metric in ("file", "memory", "time"))] for work in works]
    return format_table(["frames", "work", "file, GB", "memory, GB", "time, s"], lines)


FRAMES = "1000,10000"


def main(frames: str = FRAMES) -> None:
    """Print the table and write it to ``benchmarks/results``; ``frames`` are numbers with commas."""
    started = time.perf_counter()
    rows = [entry for number in frames.split(",") for entry in measure(int(number))]
    print(f"\nuracil with {N_PARTICLES} MM particles a frame, AMP(3)-DP, near and far, batch 1: largest memory of the process\n")
    print(table(rows))
    if frames == FRAMES:  # those of the documentation
        print(f"wrote {write_result('streaming', 'float32', rows, started, RESULTS, seeds=[0], data=None)}")


if __name__ == "__main__":
    typer.run(main)
