"""The training runs on solutes in water that Tables 1 and 2 share: AMP(3)-DP by system, split and long-range cut-off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import InputError
from common.solute_model import MODEL, PAPER_SETTINGS, SOLUTES
from reproductions.folders import RUNS, WEIGHTS

FORMULAS = {"Uracil": "C4H4N2O2", "RA": "C20H28O2", "SAM": "C18H29N7O7S2", "Uracil-PBE": "C4H4N2O2"}
"""In Hill's order."""

DFT, DFT_METHOD, DFT_FRAMES = "Uracil-PBE", ("pbe", "def2-svp"), 400
"""The system at the paper's kind of theory: so many of uracil's frames, spread evenly, with the labels of this functional and basis."""

PAPER_SYSTEMS = [system for system in SOLUTES if system != DFT]

LABELS = {"energy": "kJ/mol", "qm_gradients": "kJ/mol/angstrom", "mm_gradients": "kJ/mol/angstrom"}
TITLES = {"energy": "E_QM", "qm_gradients": "F_QM", "mm_gradients": "F_MM"}


@dataclass(frozen=True)
class Preset:
    """How a preset deviates from the paper's settings.

    Attributes:
        steps, table_2_steps: of the optimizer, by system; one that is not named is left out.
        validations: how often a run is validated; divides its steps.
        settings: changes of :data:`PAPER_SETTINGS`.
        model: further arguments of the model.
        differs: from the paper's settings, in words.
        of_system: what a system changes of ``settings``.
        table_2_model: changes of ``model`` for Table 2, which is about the cut-off of the learnt form: near and far see every charge.
    """

    steps: Mapping[str, int]
    table_2_steps: Mapping[str, int]
    validations: int
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    differs: str
    of_system: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    table_2_model: Mapping[str, Any] = field(default_factory=dict)


PRESETS = {
    "smoke": Preset(
        {"Uracil": 3, DFT: 3}, {"Uracil": 3}, 1, {},
        {"max_order": 1, "n_layers": 1, "n_features": 8, "n_radial_weights": 4, "near_cutoff": 4.0},
        "three steps of AMP(1) with one layer and eight features on 50 frames (unless --data is given) show that all runs, no result",
        table_2_model={"near_cutoff": None},
    ),
    "laptop": Preset(
        {"Uracil": 80_000, "RA": 36_000, "SAM": 36_000, DFT: 40_000},
        {"Uracil": 8000, "RA": 4000, "SAM": 4000},
        20,
        {
            "batch_size": 1, "learning_rate": 1e-3, "mm_gradient_factor": 1e3, "ema_momentum": 0.99, "start_at_zero": True, "xla": True,
        },
        {"coefficient_scale": 1e-3, "near_cutoff": 4.0, "energy_scale": 10.0},
        "in Table 1 charges beyond 4 angstrom act as a field (near and far; paper: all by the learnt form), energies and charges that "
        "start at zero (paper: random), factor 1e3 on MM gradients in the loss, 3e3 for uracil (paper: 100), batches of 1 (paper: 5 for "
        "uracil), energies read out in units of 10 kJ/mol (paper: 1), factor 1e-3 on the coefficients (paper: 1e-4), learning rate from "
        "1e-3 (paper: 5e-4), smooth edges (paper: abrupt), moving average of the weights (0.99; paper: none), frames and steps as in the "
        "table (paper: 10 000, 400 000; Table 2 200 000), in Table 2 64 features (paper: 128)",
        {"Uracil": {"mm_gradient_factor": 3e3}, DFT: {"mm_gradient_factor": 3e3}},
        {"near_cutoff": None, "n_features": 64},
    ),
    "paper": Preset(
        dict.fromkeys(PAPER_SYSTEMS, 400_000), dict.fromkeys(PAPER_SYSTEMS, 200_000), 200, {},
        {"coefficient_scale": 1e-4, "message_cutoff": "none"}, "no setting that the paper states",
    ),
}  # fmt: skip

BATCH = {"Uracil": 5, "RA": 1, "SAM": 1, DFT: 5}
ORDERINGS = {"unshuffled": "ordered", "shuffled": "random", "fine-tuned": "ordered"}
"""How each kind of run splits the frames. A fine-tuned one starts from an unshuffled run of uracil, which has not seen its test frames
either: both test on the last tenth in the order of time, or their frames are of different trajectories."""

FINE_TUNING = {"start_at_zero": False, "learning_rate": 3e-4}
CUTOFFS = (30.0, 50.0)
"""Long-range cut-offs of Table 2, angstrom."""

NEAR_AND_FAR = "none: near and far"
"""What stands in the place of a cut-off for a run that sees every charge."""


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        table: 1 or 2.
        system: of :data:`SOLUTES`.
        ordering: of :data:`ORDERINGS`.
        cutoff: long-range cut-off, angstrom.
    """

    table: int
    system: str
    ordering: str = "shuffled"
    cutoff: float = 50.0


START, SHIPPED_START = Job(1, "Uracil", "unshuffled"), WEIGHTS / "solutes" / "uracil-unshuffled.keras"


def orderings_of(system: str) -> tuple[str, str]:
    """The runs of a system in Table 1; the second one's potential is the system's."""
    return ("unshuffled", "fine-tuned") if system == DFT else ("unshuffled", "shuffled")


def systems_of(table: int, preset: str) -> list[str]:
    """The systems of a table."""
    chosen = PRESETS[preset]
    return list(chosen.steps if table == 1 else chosen.table_2_steps)


def shown_cutoff(job: Job) -> float | None:
    """The cut-off that Table 2 tells a run by; None for that of Table 1."""
    return job.cutoff if job.table == 2 else None


def run_folder(job: Job, preset: str, sha256: str, runs: Path = RUNS) -> Path:
    """Where the run on the data of a content's sha256 lives."""
    return runs / "solutes" / preset / f"table{job.table}" / f"{job.system}-{job.ordering}-{job.cutoff:g}-{sha256[:8]}"


def start_of(job: Job, preset: str, data: Path, runs: Path = RUNS) -> Path | None:
    """The potential that a fine-tuned run starts from, None for the others: that of :data:`START` on the data that its own were relabelled
    from, or, where there is none, the one that ships, which has seen no frame of them."""
    if job.ordering != "fine-tuned":
        return None
    found = read_reference_data(data)
    own = run_folder(START, preset, found.provenance.settings.get("geometries_sha256", found.sha256), runs) / "potential.keras"
    return SHIPPED_START if preset == "laptop" and not own.is_file() else own


def jobs_of(table: int, systems: Sequence[str], preset: str) -> list[Job]:
    """The training runs of a table. Table 2 has those of the learnt form and, where Table 1's runs see every charge (near and far), the
    shuffled one of them."""
    if table == 1:
        return [Job(1, system, ordering) for system in systems for ordering in orderings_of(system)]
    beside = "near_cutoff" in PRESETS[preset].model
    return [job for system in systems for job in [*(Job(2, system, cutoff=cutoff) for cutoff in CUTOFFS), *[Job(1, system)] * beside]]


def configuration(job: Job, preset: str, data: Path) -> dict[str, Any]:
    """The training configuration of a run, without the potential that a fine-tuned one starts from."""
    chosen = PRESETS[preset]
    split = {"kind": ORDERINGS[job.ordering]} | ({"train": 0.7, "validation": 0.0} if job.table == 2 else {})
    steps = (chosen.steps if job.table == 1 else chosen.table_2_steps)[job.system]
    model = {**MODEL, **chosen.model, **(chosen.table_2_model if job.table == 2 else {}), "long_range_cutoff": job.cutoff}
    return {
        "data": str(data),
        "model": model,
        "split": split,
        "steps": steps,
        "batch_size": BATCH[job.system],
        "interval": steps // chosen.validations,
        **PAPER_SETTINGS,
        **chosen.settings,
        **chosen.of_system.get(job.system, {}),
        **(FINE_TUNING if job.ordering == "fine-tuned" else {}),
    }


def parse_files(given: Sequence[str]) -> dict[str, Path]:
    """``SYSTEM=FILE`` of the command line.

    Raises:
        InputError: for another form or an unknown system.
    """
    files = {}
    for text in given:
        system, separator, path = text.partition("=")
        if not separator or system not in SOLUTES:
            raise InputError(f"--data {text!r}: give SYSTEM=FILE with SYSTEM one of {', '.join(SOLUTES)}.")
        files[system] = Path(path)
    return files


def parse_systems(text: str | None, preset: str, table: int) -> list[str]:
    """The systems of the command line, all those of the preset by default.

    Raises:
        InputError: for a system that the table does not have in this preset.
    """
    known = systems_of(table, preset)
    chosen = known if text is None else text.split(",")
    if unknown := [system for system in chosen if system not in known]:
        raise InputError(f"--systems {text!r}: Table {table} has {', '.join(known)} in PRESET={preset}, not {', '.join(unknown)}.")
    return chosen


def result_name(table: int, systems: Sequence[str], preset: str, files: Mapping[str, Path]) -> str:
    """Of the result file: the table's where all systems of the preset are in it with our data; otherwise it names them."""
    of_some = "" if list(systems) == systems_of(table, preset) else f"-{'-'.join(systems)}"
    return f"table{table}{of_some}{'-own-data' if files else ''}"


if __name__ == "__main__":
    from reproductions.shipped_solutes import ship_weights  # which imports this module

    for written in ship_weights():
        print(f"wrote {written}")
