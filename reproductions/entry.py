"""What every ``python -m reproductions.<name>`` does after its own work: draw the figure and print the table."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from amp_tf.command import tell_error
from amp_tf.errors import AmpTFError, InputError
from common.results import Row
from reproductions.solutes import parse_files, parse_systems

PRESETS = ("smoke", "laptop", "paper")


def check_preset(preset: str) -> str:
    """The preset, if there is one of that name.

    Raises:
        InputError: naming the presets.
    """
    if preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}; choose PRESET={', PRESET='.join(PRESETS)}.")
    return preset


def run_reproduction(
    preset: str,
    reproduce: Callable[[str], Path],
    draw: Callable[[dict[str, Any]], list[Path]],
    table: Callable[[list[Row]], str],
) -> None:
    """Reproduce, draw, print; errors that amp_tf raises on purpose end with their sentence and exit status 1."""
    try:
        check_preset(preset)
        path = reproduce(preset)
        result = json.loads(path.read_text())
        pictures = draw(result)
    except AmpTFError as error:
        tell_error(error)
        raise typer.Exit(1) from error
    typer.echo(f"\n{table(result['rows'])}\n\n{result['differs']}\n")
    for written in (path, *pictures):
        typer.echo(f"wrote {written}")


def solutes_app(
    number: int,
    reproduce: Callable[..., Path],
    draw: Callable[[dict[str, Any]], list[Path]],
    table: Callable[[list[Row]], str],
    answer: Callable[[Sequence[str]], Path],
    answer_table: Callable[[list[Row]], str],
) -> typer.Typer:
    """The command of Table 1 or 2.

    Args:
        number: of the table.
        reproduce: trains and evaluates; takes preset, systems and the data files that were given.
        draw, table: the figure and the text of its result.
        answer: evaluates what ships, which needs neither data nor training; takes the systems.
        answer_table: the text of that result.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def main(
        preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop",
        systems: Annotated[str | None, typer.Option(help="Some of Uracil,RA,SAM,Uracil-PBE; all by default.")] = None,
        data: Annotated[list[str] | None, typer.Option(help="SYSTEM=FILE, reference data of your own to train on.")] = None,
        retrain: Annotated[bool, typer.Option(envvar="RETRAIN", help="Build the data and train; go on with the runs in runs/.")] = False,
    ) -> None:
        at_once = preset == "laptop" and not (retrain or data)

        def work(preset: str) -> Path:
            chosen = parse_systems(systems, preset, number)
            return answer(chosen) if at_once else reproduce(preset, chosen, parse_files(data or []))

        run_reproduction(preset, work, (lambda result: []) if at_once else draw, answer_table if at_once else table)

    return app
