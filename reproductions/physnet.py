"""All reproductions of PhysNet's paper, one after the other. ``make reproduce-physnet``; its parts are ``reproduce-physnet-tails`` etc."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from amp_tf.command import run_command
from reproductions import physnet_md17, physnet_qm9, physnet_sn2, physnet_tails
from reproductions.entry import PRESETS, check_preset
from reproductions.folders import RUNS

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help=f"{', '.join(PRESETS)}.")] = "laptop",
    rmd17: Annotated[Path | None, typer.Option(help="The folder of the revised MD17; without it that part is left out.")] = None,
    qm9: Annotated[Path | None, typer.Option(help="Molecules of QM9, *.h5; without it, and runs/qm9.h5, that part is left out.")] = None,
) -> None:
    """Tails, the reaction, and, with their data, the revised MD17 and QM9."""
    check_preset(preset)
    has_molecules = preset == "smoke" or qm9 is not None or (RUNS / "qm9.h5").is_file()
    parts: dict[str, Callable[[], None] | None] = {
        "physnet-tails": lambda: physnet_tails.main(preset),
        "physnet-sn2": lambda: physnet_sn2.main(preset, "sn2-chloride"),
        "physnet-md17": None if rmd17 is None else lambda: physnet_md17.main(preset, rmd17, None),
        "physnet-qm9": (lambda: physnet_qm9.main(preset, qm9)) if has_molecules else None,
    }
    failed = []
    for name, run in parts.items():
        if run is None:
            typer.echo(f'{name}: left out, its data are not given; make reproduce-physnet OPTIONS="--rmd17 FOLDER --qm9 FILE".')
            continue
        typer.echo(f"{name}:")
        try:
            run()
        except typer.Exit:  # which has told its error; the others do not depend on it
            failed.append(name)
    if failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(app)
