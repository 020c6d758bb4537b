"""The ``amp-tf`` command: train, evaluate, predict, convert, info."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from amp_tf.command import run_command
from amp_tf.data.convert import KEYS
from amp_tf.errors import DataFileError, InputError
from amp_tf.files import check_outputs

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Anisotropic message passing potentials."
)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML configuration; unknown keys are refused.")],
    folder: Annotated[Path, typer.Argument(help="Run folder; an interrupted run in it goes on, a finished one is only reported.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, dots for nested keys: model.max_order=3 steps=1000")] = None,
    only_continue: Annotated[bool, typer.Option("--continue", help="Go on with a run; refuse to start a new one.")] = False,
) -> None:
    """Train a potential; kill it at any moment and run the same command to go on."""
    from amp_tf.training import read_config
    from amp_tf.training import train as run

    if only_continue and not (folder / "config.yaml").is_file():
        raise InputError(f"--continue: there is no run in {folder}; correct the folder, or leave --continue out to start one.")

    result = run(read_config(config, tuple(overrides or ())), folder)
    _print_metrics(result.metrics)
    typer.echo(f"potential: {folder / 'potential.keras'}")


@app.command()
def evaluate(
    potential: Annotated[Path, typer.Argument(help="A saved potential, *.keras.")],
    data: Annotated[Path, typer.Argument(help="Reference data, *.h5.")],
) -> None:
    """Errors of a saved potential on all frames of a data file, beside the null model.

    It predicts the potential's atomic energies or, where these are zero, the mean energy, and zero gradients.
    """
    from amp_tf.data.hdf5 import read_reference_data
    from amp_tf.data.pipeline import Frames
    from amp_tf.models import load_potential
    from amp_tf.training import evaluate as run

    model, reference = load_potential(potential), read_reference_data(data)
    model.check_charges([group.system(0) for group in reference.groups])
    _print_metrics([{"split": "all", **row} for row in run(model, Frames.from_reference_data(reference))])


@app.command()
def predict(
    potential: Annotated[Path, typer.Argument(help="A saved potential, *.keras.")],
    source: Annotated[Path, typer.Argument(help="Systems: reference data (*.h5) or extended xyz (charge=... a frame, else 0).")],
    output: Annotated[
        Path,
        typer.Argument(help="*.h5 (kJ/mol: energies, all gradients, charges, dipoles) or *.xyz (eV: energies, forces, charges, dipoles)"),
    ],
    pc: Annotated[Path | None, typer.Option(help="Point charges around an extended xyz: a frame is a count, then lines q x y z.")] = None,
) -> None:
    """Energies and gradients of all frames of a file."""
    from amp_tf.models import load_potential
    from amp_tf.predict import predict_file

    check_outputs([output], {"the potential": potential, "the source": source, "the point charges": pc})
    command = shlex.join(["amp-tf", "predict", potential.name, source.name, output.name, *([] if pc is None else [f"--pc={pc.name}"])])
    typer.echo(f"{output}: {predict_file(load_potential(potential), source, output, command, pc)} frames")


_FORM_HELP = "amp_qmmm (a folder of orca_coordinates.npy and so on), hdf5, emle (qm.xyz with energies, and pc.xyz) or xyz (extended)."
_KEY_HELP = f"hdf5: OURS=DATASET, such as energies=E; of {', '.join(KEYS)} or, instead of gradients, qm_forces and mm_forces; repeat it."


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A folder (amp_qmmm) or a file.")],
    output: Annotated[Path, typer.Argument(help="Reference data to write, *.h5.")],
    form: Annotated[str, typer.Option("--format", help=_FORM_HELP)],
    level_of_theory: Annotated[str, typer.Option(help="Of the energies, as text; recorded.")],
    key: Annotated[list[str] | None, typer.Option(help=_KEY_HELP)] = None,
    length_unit: Annotated[str | None, typer.Option(help="hdf5: angstrom, bohr or nm.")] = None,
    energy_unit: Annotated[str | None, typer.Option(help="kJ/mol, kcal/mol, eV or hartree; eV by default for xyz and emle.")] = None,
    gradient_unit: Annotated[str | None, typer.Option(help="hdf5: ENERGY/LENGTH; of the other two units by default.")] = None,
    charge: Annotated[
        float | None, typer.Option(help="Total charge of every frame, e; 0 by default, or that of an xyz frame (charge=...).")
    ] = None,
    prefix: Annotated[str, typer.Option(help="amp_qmmm: orca or xtb.")] = "orca",
    pc: Annotated[Path | None, typer.Option(help="emle: the file of point charges; pc.xyz beside the source by default.")] = None,
    allow_pickle: Annotated[bool, typer.Option(help="amp_qmmm: read arrays of objects, which may run code.")] = False,
    plausibility_check: Annotated[
        bool, typer.Option(help="Find wrong units and signs by the size of distances, gradients and energies, and by sums of gradients.")
    ] = True,
) -> None:
    """Reference data of others as ours."""
    from amp_tf.data import convert as readers
    from amp_tf.data.hdf5 import write_reference_data
    from amp_tf.data.plausibility import check_plausible

    of_folder = {f"the source {path.name}": path for path in source.glob("*.npy")}
    check_outputs([output], {"the source": source, "the point charges": pc or source.parent / "pc.xyz", **of_folder})
    pairs = [text.partition("=") for text in key or []]
    if any(not separator for _, separator, _ in pairs):
        raise InputError("--key has the form OURS=DATASET, for example energies=E.")
    given = {"--key": key, "--length-unit": length_unit, "--energy-unit": energy_unit, "--gradient-unit": gradient_unit, "--pc": pc}
    taken = {"hdf5": set(given) - {"--pc"}, "xyz": {"--energy-unit"}, "emle": {"--energy-unit", "--pc"}}.get(form, set())
    if ignored := [option for option, value in given.items() if value and option not in taken]:
        raise InputError(f"{', '.join(ignored)} has no meaning for --format {form}, whose units and names are fixed; leave it out.")
    if form == "amp_qmmm":
        frames = readers.read_amp_qmmm(source, prefix, charge or 0.0, allow_pickle)
    elif form == "hdf5":
        frames = readers.read_hdf5(source, {ours: name for ours, _, name in pairs}, length_unit, energy_unit, gradient_unit, charge or 0.0)
    elif form == "xyz":
        frames = readers.read_xyz(source, energy_unit or "eV", charge)
    elif form == "emle":
        frames = readers.read_emle(source, pc or source.with_name("pc.xyz"), energy_unit or "eV", charge)
    else:
        raise InputError(f"--format must be amp_qmmm, hdf5, emle or xyz, got {form!r}.")
    said = {"length-unit": length_unit, "energy-unit": energy_unit, "gradient-unit": gradient_unit, "charge": charge, "prefix": prefix}
    options = [f"--{name}={value}" for name, value in said.items() if value is not None and (name != "prefix" or form == "amp_qmmm")]
    options += [f"--key={pair}" for pair in key or []] + ([] if pc is None else [f"--pc={pc.name}"])
    command = shlex.join(["amp-tf", "convert", source.name, output.name, f"--format={form}", *options])
    data = readers.as_reference_data(frames, str(source), level_of_theory, command)
    if plausibility_check:
        check_plausible(data)
    digest = write_reference_data(output, data.provenance, data.groups)
    charges = ", ".join(f"{total:g}" for total in sorted({group.total_charge for group in data.groups}))
    names = [name for name in KEYS[2:] if name not in ("mm_positions", "mm_charges")]
    labels = ", ".join(name for name in names if any(getattr(group, name) is not None for group in data.groups))
    typer.echo(f"{output}: {len(data)} frames in {len(data.groups)} group(s) with {labels}; total charge {charges} e; sha256 {digest}")


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
    for row in provenance.pop("errors", []):
        lines.append((f"{row['split']} {row['metric']}", f"{row['value']:.4g} {row['unit']} (null model {row['null_model']:.4g})"))
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
    """Run the ``amp-tf`` command."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    run_command(app)


if __name__ == "__main__":
    main()
