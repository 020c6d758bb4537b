"""What every ``python -m reproductions.<name>`` does after its own work: draw the figure and print the table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
