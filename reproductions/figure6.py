"""Figure 6: learning curves of AMP(2) on the sparsely connected water dimer (panel B of Figure 2). ``make reproduce-figure6``."""

from functools import partial
from typing import Annotated

import typer

from figures.figure6 import MODELS, draw
from reproductions.entry import run_reproduction
from reproductions.learning_curves import reproduce, table

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop") -> None:
    """Train, evaluate, draw and print Figure 6."""
    run_reproduction(preset, partial(reproduce, "figure6", "B", MODELS), draw, table)


if __name__ == "__main__":
    app()
