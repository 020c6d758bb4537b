"""The ``amp-tf`` command: train, evaluate, ensemble, predict, convert, import-weights, info, md, serve, check-physics."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

import amp_tf
from amp_tf.command import run_command
from amp_tf.errors import AmpTFError, DataFileError, InputError
from amp_tf.files import as_folder, check_outputs, no_file
from amp_tf.shipped import FILES, potential_file

TRAINING, PREDICTION, FILES_OF_OTHERS = "Train and test", "Predict and simulate", "Data and weights"
"""Under which ``amp-tf --help`` lists the commands."""

PotentialArgument = Annotated[
    Path, typer.Argument(help=f"A saved potential, *.keras, or the name of one that ships: {', '.join(FILES)}.", show_default=False)
]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"amp-tf {amp_tf.__version__}")
        raise typer.Exit


@app.callback(epilog="amp-tf COMMAND --help tells the arguments of a command, with an example.")
def of_all(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Anisotropic message passing potentials."""


@app.command(rich_help_panel=TRAINING, epilog="Example: amp-tf train examples/water_dimer.yaml runs/dimer steps=2000")
def train(
    config: Annotated[Path, typer.Argument(help="YAML configuration; unknown keys are refused.")],
    folder: Annotated[str, typer.Argument(help="Run folder; an interrupted run in it goes on, a finished one is only reported.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, dots for nested keys: model.max_order=3 steps=1000")] = None,
    only_continue: Annotated[bool, typer.Option("--continue", help="Go on with a run; refuse to start a new one.")] = False,
) -> None:
    """Train a potential; kill it at any moment and run the same command to go on."""
    from amp_tf.training import read_config
    from amp_tf.training import train as run

    place = as_folder(folder)
    if only_continue and not os.path.isfile(place / "config.yaml"):
        raise InputError(f"--continue: there is no run in {folder}; correct the folder, or leave --continue out to start one.")

    result = run(read_config(config, tuple(overrides or ())), place)
    _print_metrics(result.metrics)
    typer.echo(f"potential: {place / 'potential.keras'}")


@app.command(rich_help_panel=TRAINING, epilog="Example: amp-tf evaluate uracil datasets/uracil_sample.h5")
def evaluate(
    potential: PotentialArgument,
    data: Annotated[Path, typer.Argument(help="Reference data, *.h5.")],
) -> None:
    """Errors of a saved potential on all frames of a data file, beside the null model.

    It predicts the potential's atomic energies or, where these are zero, the mean energy, and zero gradients.
    """
    from amp_tf.data.hdf5 import read_reference_data
    from amp_tf.data.pipeline import Frames
    from amp_tf.models import load_potential
    from amp_tf.models.ensemble import members_of
    from amp_tf.training import evaluate as run

    model, reference = load_potential(potential), read_reference_data(data)
    model.check_charges([group.system(0) for group in reference.groups])
    frames = Frames.from_reference_data(reference, model.target)
    metrics = run(model, frames)
    _print_metrics([{"split": "all", **row} for row in metrics])
    if len(members := members_of(model)) > 1:
        alone = [run(member, frames) for member in members]
        for number, row in enumerate(metrics):
            mean = sum(found[number]["value"] for found in alone) / len(alone)
            typer.echo(f"{row['metric']}: {row['value'] / mean:.2f} of the mean of the {len(members)} members, {mean:.4g} {row['unit']}")


@app.command(rich_help_panel=TRAINING, epilog="Example: amp-tf ensemble mean.keras a.keras b.keras")
def ensemble(
    output: Annotated[Path, typer.Argument(help="Potential to write, *.keras.")],
    members: Annotated[list[Path], typer.Argument(help="Saved potentials, two or more, that were trained alike.")],
) -> None:
    """The mean of potentials as one, which also tells how far they are apart."""
    from amp_tf.models import Ensemble, load_potential

    check_outputs([output], {f"the member {path}": path for path in members})
    if output.suffix != ".keras":
        raise InputError(f"{output}: the ending of a potential is .keras; choose another output.")
    Ensemble([load_potential(path) for path in members]).save(output)
    typer.echo(f"{output}: {len(members)} members")


@app.command(rich_help_panel=PREDICTION, epilog="Example: amp-tf predict uracil datasets/uracil_sample.h5 predicted.h5")
def predict(
    potential: PotentialArgument,
    source: Annotated[Path, typer.Argument(help="Systems: reference data (*.h5) or extended xyz (charge=... a frame, else 0).")],
    output: Annotated[
        Path,
        typer.Argument(help="*.h5 (kJ/mol: energies, all gradients, charges, dipoles) or *.xyz (eV: energies, forces, charges, dipoles)"),
    ],
    pc: Annotated[Path | None, typer.Option(help="Point charges around an extended xyz: a frame is a count, then lines q x y z.")] = None,
    cell: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="Edges of the box in which --pc is periodic, angstrom: molecules are taken from the image nearest to the atoms."),
    ] = None,
) -> None:
    """Energies and gradients of all frames of a file."""
    from amp_tf.models import load_potential
    from amp_tf.predict import predict_file

    potential = potential_file(potential)
    check_outputs([output], {"the potential": potential, "the source": source, "the point charges": pc})
    options = ([] if pc is None else [f"--pc={pc.name}"]) + ([] if cell is None else ["--cell", *map(str, cell)])
    command = shlex.join(["amp-tf", "predict", potential.name, source.name, output.name, *options])
    typer.echo(f"{output}: {predict_file(load_potential(potential), source, output, command, pc, cell)} frames")


_FORM_HELP = (
    "amp_qmmm (a folder of orca_coordinates.npy and so on), hdf5, emle (qm.xyz with energies, and pc.xyz), xyz (extended), qm9 "
    "(dsgdb9nsd.xyz.tar.bz2 or a folder of its members) or rmd17 (rmd17_MOLECULE.npz)."
)
_KEY_HELP = (
    "OURS=NAME, such as energies=E; hdf5: of atomic_numbers, positions, energies, qm_gradients, mm_positions, mm_charges, mm_gradients, "
    "charges, dipoles or, instead of gradients, qm_forces and mm_forces, where energies=*/E "
    "takes one group for each molecule; xyz, emle: of energies, qm_forces, qm_gradients, charges, dipoles; repeat it."
)


@app.command(rich_help_panel=FILES_OF_OTHERS, epilog="Example: amp-tf convert water.xyz water.h5 --format xyz --level-of-theory MP2")
def convert(
    source: Annotated[Path, typer.Argument(help="A folder (amp_qmmm) or a file.")],
    output: Annotated[Path, typer.Argument(help="Reference data to write, *.h5.")],
    form: Annotated[str, typer.Option("--format", help=_FORM_HELP)],
    level_of_theory: Annotated[
        str | None, typer.Option(help="Of the energies, as text; recorded. Known for qm9, B3LYP/6-31G(2df,p), and rmd17, PBE/def2-SVP.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help=_KEY_HELP)] = None,
    length_unit: Annotated[str | None, typer.Option(help="hdf5: angstrom, bohr or nm.")] = None,
    energy_unit: Annotated[str | None, typer.Option(help="kJ/mol, kcal/mol, eV or hartree; eV by default for xyz and emle.")] = None,
    gradient_unit: Annotated[
        str | None, typer.Option(help="ENERGY/LENGTH; by default of the other two, or eV/angstrom for xyz, emle.")
    ] = None,
    charge: Annotated[
        float | None, typer.Option(help="Total charge of every frame, e; 0 by default, or that of an xyz frame (charge=...).")
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="amp_qmmm: orca or xtb; orca by default.")] = None,
    pc: Annotated[Path | None, typer.Option(help="emle: the file of point charges; pc.xyz beside the source by default.")] = None,
    allow_pickle: Annotated[bool, typer.Option(help="amp_qmmm: read arrays of objects, which may run code.")] = False,
    uncharacterized: Annotated[
        Path | None, typer.Option(help="qm9: the published list of molecules that failed the consistency check; they are left out.")
    ] = None,
    plausibility_check: Annotated[
        bool, typer.Option(help="Find wrong units and signs by the size of distances, gradients and energies, and by sums of gradients.")
    ] = True,
) -> None:
    """Reference data of others as ours."""
    from amp_tf.data.foreign import Source, convert_file

    pairs = [text.partition("=") for text in key or []]
    if any(not separator for _, separator, _ in pairs):
        raise InputError("--key has the form OURS=NAME, for example energies=E.")
    keys = {ours: name for ours, _, name in pairs}
    if len(keys) < len(pairs):
        twice = next(ours for ours in keys if sum(other == ours for other, _, _ in pairs) > 1)
        raise InputError(f"--key {twice}=… is given twice; leave one of them out.")
    given = Source(source, keys, length_unit, energy_unit, gradient_unit, charge, prefix, pc, allow_pickle, uncharacterized)
    for line in convert_file(given, output, form, level_of_theory, plausibility_check):
        typer.echo(line)


@app.command(rich_help_panel=FILES_OF_OTHERS, epilog="Example: amp-tf import-weights MIN_state_dict amp_bms.keras --mode md")
def import_weights(
    source: Annotated[Path, typer.Argument(help="The published weights of AMP-BMS, the PyTorch file MIN_state_dict.")],
    output: Annotated[Path, typer.Argument(help="Potential to write, *.keras.")],
    mode: Annotated[
        str, typer.Option(help="train: Coulomb's law with all charges; md: a reaction field with those within a cut-off.")
    ] = "train",
    mm_cutoff: Annotated[float | None, typer.Option(help="md: of the charges, angstrom; 9 by default, 10 with TIP3P water.")] = None,
    polarization_factor: Annotated[float, typer.Option(help="On what charges induce: 0.35 as in simulations, 1 as in training.")] = 0.35,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
) -> None:
    """The published weights of AMP-BMS (doi 10.1021/jacs.6c00217) as a potential; PyTorch is not needed."""
    from amp_tf.files import whole_file
    from amp_tf.models.amp_bms_weights import import_weights as read

    check_outputs([output], {"the source": source})
    if output.suffix != ".keras":
        raise InputError(f"{output}: the ending of a potential is .keras; choose another output.")
    if mm_cutoff is not None and mode != "md":
        raise InputError("--mm-cutoff has no meaning for --mode train, where all charges count; leave it out, or use --mode md.")
    settings = {} if mm_cutoff is None else {"mm_cutoff": mm_cutoff}
    potential = read(source, mode=mode, polarization_factor=polarization_factor, dtype=dtype, **settings)
    with whole_file(output) as partial:
        potential.save(partial)
    origin = potential.provenance
    typer.echo(f"{output}: weights of {origin['weights']}; licence: {origin['license']}; md5 {origin['md5']}")


@app.command(rich_help_panel=FILES_OF_OTHERS, epilog="Example: amp-tf info uracil")
def info(
    file: Annotated[
        Path,
        typer.Argument(help=f"A saved potential (*.keras, or the name of one that ships: {', '.join(FILES)}) or reference data (*.h5)."),
    ],
) -> None:
    """What a file is: elements, order, cut-offs, units, parameters, provenance, model card."""
    from amp_tf.info import describe_data, describe_potential

    if file.suffix in ("", ".keras"):
        file = potential_file(file)
    elif stands := no_file(file):
        raise DataFileError(f"{file}: {stands}; give a potential (*.keras) or reference data (*.h5).")
    lines = describe_potential(file) if file.suffix == ".keras" else describe_data(file)
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        typer.echo(f"{name:<{width}}  {value}")


def _print_metrics(metrics: list[dict]) -> None:
    typer.echo(f"{'split':<12}{'metric':<20}{'value':>12}{'null model':>12}  unit")
    for row in metrics:
        typer.echo(f"{row['split']:<12}{row['metric']:<20}{row['value']:>12.4g}{row['null_model']:>12.4g}  {row['unit']}")


@app.command(rich_help_panel=PREDICTION, epilog="Example: amp-tf md uracil uracil runs/md --time 1")
def md(
    potential: PotentialArgument,
    solute: Annotated[
        str,
        typer.Argument(
            help="A name (uracil, retinoic-acid, sam-cysteine), a SMILES or an *.xyz file, which is put into water; or the structure of a "
            "prepared system, *.pdb or *.cif."
        ),
    ],
    folder: Annotated[str, typer.Argument(help="Of the run; the same command goes on with a run that was stopped or killed.")],
    charge: Annotated[
        int | None, typer.Option(help="Total charge of an xyz file, e: that of the file (charge=...) or 0; or of --qm.")
    ] = None,
    system: Annotated[Path | None, typer.Option(help="Of a prepared system: OpenMM's System as XML.")] = None,
    force_field: Annotated[
        list[str] | None, typer.Option(help="Of a prepared system, instead of --system: files of OpenMM's force fields, one an option.")
    ] = None,
    qm: Annotated[
        list[str] | None,
        typer.Option(help="Of a prepared system: residues, by name, number or CHAIN:NUMBER; by default all but water and ions."),
    ] = None,
    gas: Annotated[bool, typer.Option("--gas", help="The solute alone instead of in a box of water.")] = False,
    ensemble: Annotated[str, typer.Option(help="nvt, npt or nve.")] = "nvt",
    time: Annotated[float, typer.Option(help="ps; more than before makes a finished run longer.")] = 100.0,
    temperature: Annotated[float, typer.Option(help="K.")] = 300.0,
    time_step: Annotated[float, typer.Option(help="fs.")] = 0.5,
    mm_time_step: Annotated[
        float | None,
        typer.Option(help="Of the force field, a multiple of --time-step, fs: 2 with rigid water is faster; by default --time-step."),
    ] = None,
    interval: Annotated[int, typer.Option(help="Steps between two frames, a multiple of those in --mm-time-step.")] = 50,
    zone: Annotated[float, typer.Option(help="Water within this of the solute is seen by the potential, angstrom.")] = 14.0,
    seed: Annotated[int, typer.Option(help="Of velocities and thermostat.")] = 0,
    committee: Annotated[list[Path] | None, typer.Option(help="Further ones, named likewise; the mean of all moves the atoms.")] = None,
    collect: Annotated[
        Path | None,
        typer.Option(help="Extended xyz to write frames to where the committee disagrees, the charges around them beside it as *.pc.xyz."),
    ] = None,
    collect_above: Annotated[float, typer.Option(help="Disagreement about the force on an atom, kJ/mol/angstrom.")] = 20.0,
    margin: Annotated[
        float, typer.Option(help="The run stops where distances are farther than this outside the training data, angstrom; inf: never.")
    ] = 0.1,
) -> None:
    """Molecular dynamics of a solute in water or alone: trajectory.dcd, energies.csv, summary.json and .png."""
    from amp_tf.simulation.dynamics import Dynamics, Run
    from amp_tf.simulation.scene import PreparedSystem, SoluteInWater
    from amp_tf.simulation.solutes import read_solute
    from amp_tf.simulation.water_box import import_openmm

    import_openmm()
    dynamics = Dynamics(
        ensemble=ensemble, picoseconds=time, temperature=temperature, time_step=time_step, mm_time_step=mm_time_step, interval=interval,
        zone=zone, seed=seed, margin=margin,
    )  # fmt: skip
    is_prepared = solute.endswith((".pdb", ".cif"))
    given = {"--system": system, "--force-field": force_field, "--qm": qm}
    if not is_prepared and (wrong := [option for option, value in given.items() if value]):
        raise InputError(f"{wrong[0]} goes with a prepared system, *.pdb or *.cif; {solute} is put into water here. Leave it out.")
    if is_prepared and gas:
        raise InputError("--gas is for a solute by its name, SMILES or *.xyz; give its atoms alone as one of these.")
    setup = (
        PreparedSystem(Path(solute), system, force_field or (), qm, charge)
        if is_prepared
        else SoluteInWater(read_solute(solute, charge), gas)
    )
    members, place = [potential, *(committee or [])], as_folder(folder)
    run = Run(place, members, setup, dynamics, collect=collect, collect_above=collect_above)
    summary = run.run()
    whole = "whole" if summary["whole"] else "BROKEN"
    typer.echo(
        f"{summary['picoseconds']:g} ps, solute {whole} at {summary['solute_temperature_k']:.0f} K, longest bond "
        f"{summary['longest_bond_by_its_start']:.2f} of its start"
        + (f", stopped {summary['stops']} times outside of the training data" if summary["stops"] else "")
        + (f", total energy drifts by {summary['total_energy_drift_kj_per_mol_per_ps']:.3g} kJ/mol/ps" if ensemble == "nve" else "")
    )
    for name in ("trajectory.dcd", "topology.pdb", "energies.csv", "summary.json", "summary.png"):
        typer.echo(f"wrote {place / name}")
    if collect is not None:
        typer.echo(f"wrote {collect}: {run.n_collected} frames worth labelling")


@app.command(rich_help_panel=PREDICTION, epilog="Example: amp-tf serve uracil --folder amp_tf_orca")
def serve(
    potential: PotentialArgument,
    folder: Annotated[
        str, typer.Option(help="In which the program orca is made, to be put in front of PATH where sander runs.")
    ] = "amp_tf_orca",
    margin: Annotated[
        float, typer.Option(help="sander is stopped where distances are farther than this outside the training data, angstrom; inf: never.")
    ] = 0.1,
) -> None:
    """For AMBER's sander: a program orca that a potential answers, for qm_theory='EXTERN' with a namelist &orc; ends with Ctrl-C."""
    from amp_tf.interfaces.sander import serve as run
    from amp_tf.models import load_potential

    run(load_potential(potential), as_folder(folder), tell=lambda line: print(line, flush=True), margin=margin)


@app.command("check-physics", rich_help_panel=TRAINING, epilog="Example: amp-tf check-physics uracil --preset quick --report uracil.html")
def check_physics(
    target: Annotated[
        str | None,
        typer.Argument(
            help=f"A saved potential (*.keras, or {', '.join(FILES)}), or module:factory or module:factory(key=value), which gives a "
            "calculator of ASE."
        ),
    ] = None,
    molecule: Annotated[list[Path] | None, typer.Option(help="A molecule to look at too, *.xyz; repeat it.")] = None,
    tests: Annotated[str | None, typer.Option(help="Names, groups or presets, with commas between; --list tells them.")] = None,
    preset: Annotated[str, typer.Option(help="quick (a minute), standard (ten) or full.")] = "standard",
    report: Annotated[Path | None, typer.Option(help="A page to write, *.html, with plots.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="All numbers and curves to write, *.json.")] = None,
    compare: Annotated[list[Path] | None, typer.Option(help="What --json wrote of another target, for the page; repeat it.")] = None,
    published: Annotated[str | None, typer.Option(help="A model of the study whose words stand on the page: ANI-1x, MACE-MP, …")] = None,
    charge: Annotated[int | None, typer.Option(help="Total charge of the molecules, e; that of the file by default, or 0.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="In float64 where the target offers it, and without TF32 on a GPU.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    budget: Annotated[str | None, typer.Option(help="Time after which no further test starts, such as 90s or 10m.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A warning, and what was inconclusive or not run, ends with exit status 3 too.")
    ] = False,
    list_tests: Annotated[bool, typer.Option("--list", help="Print the tests and exit.")] = False,
) -> None:
    """Does a potential obey physics? Symmetry, conservation, locality and energy surfaces of any ASE calculator.

    Exit status: 0 where no test fails, 3 where one does, 1 where one raised, 4 where nothing was decided.
    """
    from amp_tf.physics import targets
    from amp_tf.physics.checks import check_physics as run
    from amp_tf.physics.checks import chosen_tests
    from amp_tf.physics.command import exit_status, print_result, print_tests, published_words, seconds_of
    from amp_tf.physics.molecules import read_molecule
    from amp_tf.physics.records import read_record, record_of, write_record

    if list_tests:
        print_tests()
        return
    if target is None:
        raise InputError("TARGET is missing; give a potential, or module:factory.")
    names, seconds, words = chosen_tests(tests or preset), seconds_of(budget), published_words(published)
    molecules = [read_molecule(path, charge) for path in molecule or ()]
    others = [read_record(path) for path in compare or ()]
    read_too = {f"the molecule {path}": path for path in molecule or ()} | {f"the result {path}": path for path in compare or ()}
    if compare and report is None:
        raise InputError("--compare draws into the page; give --report too.")
    plots = [report.with_name(f"{report.stem}-{test}.png") for test in names] if report else []
    check_outputs(
        [path for path in (report, json_file, *plots) if path], read_too | ({"the target": target} if Path(target).is_file() else {})
    )
    for path, ending in ((report, ".html"), (json_file, ".json")):
        if path is not None and path.suffix != ending:
            raise InputError(f"{path}: the ending must be {ending}; choose another output.")
    subject = targets.read_target(target, exact)
    result = run(subject, molecules, names, seed, seconds, progress=True)
    print_result(result)
    given = {"--seed": seed or None, "--charge": charge, "--budget": budget}
    options = (
        [word for name, value in given.items() if value is not None for word in (name, str(value))]
        + ["--exact"] * exact
        + ["--strict"] * strict
    )
    options += [word for path in molecule or () for word in ("--molecule", str(path))]
    command = shlex.join(["amp-tf", "check-physics", target, "--tests", tests or preset, *options])
    record = record_of(result, words, command)
    if json_file is not None:
        write_record(json_file, record)
        typer.echo(f"wrote {json_file}")
    if report is not None:
        from amp_tf.physics.report import write_report

        for path in write_report(record, report, others, words, published or ""):
            typer.echo(f"wrote {path}")
    if result.was_interrupted:
        raise AmpTFError("interrupted; what had finished is reported above. Run the same command again for the rest.")
    raise typer.Exit(exit_status(result, strict))


def main() -> None:
    """Run the ``amp-tf`` command."""
    run_command(app)


if __name__ == "__main__":
    main()
