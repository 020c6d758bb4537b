"""Figure 5: learning curves on the fully connected water dimer (panel A of Figure 2). ``make reproduce-figure5``."""

from functools import partial
from typing import Annotated

import typer

from figures.figure5 import MODELS, draw
from reproductions.entry import run_reproduction
from reproductions.learning_curves import reproduce, table

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop") -> None:
    """Train, evaluate, draw and print Figure 5."""
    run_reproduction(preset, partial(reproduce, "figure5", "A", MODELS), draw, table)


if __name__ == "__main__":
    app()
