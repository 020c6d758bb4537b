"""The ``amp-tf`` command: train, evaluate, info."""

import os
from pathlib import Path
from typing import Annotated

import typer

from amp_tf.errors import AmpTFError, DataFileError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Anisotropic message passing potentials."
)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML configuration; unknown keys are refused.")],
    folder: Annotated[Path, typer.Argument(help="Run folder; an interrupted run in it goes on, a finished one is only reported.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, dots for nested keys: model.max_order=3 steps=1000")] = None,
) -> None:
    """Train a potential; kill it at any moment and run the same command to go on."""
    from amp_tf.training import read_config
    from amp_tf.training import train as run

    result = run(read_config(config, tuple(overrides or ())), folder)
    _print_metrics(result.metrics)
    typer.echo(f"potential: {folder / 'potential.keras'}")


@app.command()
def evaluate(
    potential: Annotated[Path, typer.Argument(help="A saved potential, *.keras.")],
    data: Annotated[Path, typer.Argument(help="Reference data, *.h5.")],
) -> None:
    """Errors of a saved potential on all frames of a data file, beside the null model (mean energy, zero gradients)."""
    from amp_tf.data.hdf5 import read_reference_data
    from amp_tf.data.pipeline import Frames
    from amp_tf.models import load_potential
    from amp_tf.training import evaluate as run

    frames = Frames.from_reference_data(read_reference_data(data))
    _print_metrics([{"split": "all", **row} for row in run(load_potential(potential), frames)])


@app.command()
def info(file: Annotated[Path, typer.Argument(help="A saved potential (*.keras) or reference data (*.h5).")]) -> None:
    """What a file is: elements, order, cut-offs, units, parameters, provenance."""
    if not file.is_file():
        raise DataFileError(f"{file}: no such file.")
    lines = _potential_lines(file) if file.suffix == ".keras" else _data_lines(file)
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        typer.echo(f"{name:<{width}}  {value}")


def _potential_lines(file: Path) -> list[tuple[str, object]]:
    from amp_tf.models import load_potential

    potential = load_potential(file)
    config = potential.get_config()
    provenance, unit = config.pop("provenance"), config.pop("units")
    lines = [("potential", type(potential).__name__), ("parameters", f"{potential.count_params():,}".replace(",", " "))]
    lines += [(key, ", ".join(value) if key == "elements" else value) for key, value in config.items() if key != "name"]
    lines += [(f"unit of {quantity}", name) for quantity, name in unit.items()]
    return lines + [(f"provenance: {key}", value) for key, value in provenance.items()]


def _data_lines(file: Path) -> list[tuple[str, object]]:
    from ase.formula import Formula
    from ase.symbols import Symbols

    from amp_tf import units
    from amp_tf.data.hdf5 import read_reference_data

    data = read_reference_data(file)
    lines: list[tuple[str, object]] = [("reference data", f"{len(data)} frames in {len(data.groups)} group(s)"), ("sha256", data.sha256)]
    lines += [("units", f"{units.LENGTH}, {units.ENERGY}, {units.GRADIENT}, {units.CHARGE}")]
    for group in data.groups:
        formula = Formula(Symbols(group.qm_atomic_numbers).get_chemical_formula())
        labels = ", ".join(name for name in group.arrays() if name not in ("qm_atomic_numbers", "qm_positions"))
        lines.append((f"group {group.name}", f"{len(group)} frames of {formula}, charge {group.total_charge:g} e; {labels}"))
        lines.append(
            ("  energies", f"{group.energies.min():.6g} to {group.energies.max():.6g}, mean {group.energies.mean():.6g} {units.ENERGY}")
        )
    return lines + [(f"provenance: {key}", value) for key, value in data.provenance.model_dump().items()]


def _print_metrics(metrics: list[dict]) -> None:
    typer.echo(f"{'split':<12}{'metric':<20}{'value':>12}{'null model':>12}  unit")
    for row in metrics:
        typer.echo(f"{row['split']:<12}{row['metric']:<20}{row['value']:>12.4g}{row['null_model']:>12.4g}  {row['unit']}")


def main() -> None:
    """Entry point of ``amp-tf``: errors that amp_tf raises on purpose end with their one sentence and exit status 1."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except AmpTFError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
