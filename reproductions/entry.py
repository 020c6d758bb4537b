"""What every ``python -m reproductions.<name>`` does after its own work: draw the figure and print the table."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from amp_tf.errors import AmpTFError
from reproductions.common import Row, check_preset, read_result


def run_reproduction(
    name: str | Callable[[], str],
    preset: str,
    reproduce: Callable[[str], Path],
    draw: Callable[[dict[str, Any]], list[Path]],
    table: Callable[[list[Row]], str],
) -> None:
    """Reproduce, draw, print; errors that amp_tf raises on purpose end with their sentence and exit status 1."""
    try:
        check_preset(preset)
        path = reproduce(preset)
        result = read_result(name if isinstance(name, str) else name(), preset)
        pictures = draw(result)
    except AmpTFError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"\n{table(result['rows'])}\n\n{result['differs']}\n")
    for written in (path, *pictures):
        typer.echo(f"wrote {written}")


def solutes_app(
    name: str, reproduce: Callable[..., Path], draw: Callable[[dict[str, Any]], list[Path]], table: Callable[[list[Row]], str]
) -> typer.Typer:
    """The command of Table 1 or 2; ``reproduce`` takes preset, systems and the data files that were given."""
    from reproductions.solutes import parse_files, parse_systems, result_name

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def main(
        preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop",
        systems: Annotated[str | None, typer.Option(help="Some of Uracil,RA,SAM; all by default.")] = None,
        data: Annotated[list[str] | None, typer.Option(help="SYSTEM=FILE, reference data of your own for a system.")] = None,
    ) -> None:
        def chosen() -> tuple[str, list[str], dict[str, Path]]:
            return preset, parse_systems(systems, preset), parse_files(data or [])

        def named() -> str:
            return result_name(name, *chosen()[1:2], preset, chosen()[2])

        run_reproduction(named, preset, lambda _: reproduce(*chosen()), draw, table)

    return app
