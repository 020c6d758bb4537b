"""``amp-tf check-physics`` of other potentials, each in an environment of its own, and of ours. ``make check-peers``.

Results are kept as reproductions/results/physics/NAME.json; :mod:`reproductions.study` puts them beside what the study says.
"""

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from amp_tf.command import run_command
from amp_tf.errors import InputError
from amp_tf.physics.records import read_record, write_record
from common.results import ROOT, commit
from reproductions.folders import RESULTS, RUNS

OUTPUT = RESULTS / "physics"
OF_ALL = ("numpy", "scipy", "ase", "matplotlib", "pyyaml", "tqdm", "typer")
"""What the check needs; amp_tf itself is installed without its dependencies."""


ENVIRONMENTS = {
    "torchani": ("torch", "torchani==2.0", "setuptools<81", "lark-parser"),
    "sevenn": ("torch", "sevenn==0.13.0"),
    "tblite": ("tblite==0.8.0",),
}
"""Requirements of other potentials, whose wheels hold their weights."""


@dataclass(frozen=True)
class Peer:
    """A potential to examine.

    Attributes:
        target: for ``amp-tf check-physics``.
        environment: one of :data:`ENVIRONMENTS`; empty: ours.
        options: further ones of the command.
    """

    target: str
    environment: str = ""
    options: tuple[str, ...] = ()


PEERS = {
    "ANI-1x": Peer("amp_tf.physics.peers:ani(name=ANI1x)", "torchani"),
    "ANI-1ccx": Peer("amp_tf.physics.peers:ani(name=ANI1ccx)", "torchani"),
    "7net-0": Peer("amp_tf.physics.peers:sevennet(name=7net-0)", "sevenn"),
    "GFN2-xTB": Peer("tblite.ase:TBLite(method=GFN2-xTB, accuracy=0.01, verbosity=0)", "tblite"),
    "uracil": Peer("uracil", options=("--exact",)),
    "water": Peer("reproductions/weights/laptop/AMP(3).keras", options=("--exact", "--tests", "symmetry,conservation,locality,homometric")),
}
"""By name; AMP-BMS joins them where its weights are given."""


def environment(name: str, folder: Path) -> Path:
    """The Python of one of :data:`ENVIRONMENTS`, with this checkout of amp_tf; made where it is missing.

    Raises:
        InputError: where something cannot be installed; tells what.
    """
    python, complete, wanted = folder / "bin" / "python", folder / "complete", "\n".join([*OF_ALL, *ENVIRONMENTS[name]])
    if not (complete.is_file() and complete.read_text() == wanted):
        venv.create(folder, clear=True, with_pip=True)
        for words in ([*OF_ALL, *ENVIRONMENTS[name]], ["--no-deps", "--editable", str(ROOT)]):
            command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
            if (finished := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
                reason = " ".join((finished.stderr.strip().splitlines() or ["no reason given"])[-1].split())
                raise InputError(f"{', '.join(ENVIRONMENTS[name])} cannot be installed: {reason[:300]}")
        complete.write_text(wanted)
    return python


def examine(name: str, peer: Peer, preset: str, output: Path, runs: Path = RUNS) -> str:
    """Run the check and keep its result; returns one line of what happened, which is why it was skipped where it was."""
    try:
        of_peer = runs / "peers" / peer.environment
        python = environment(peer.environment, of_peer) if peer.environment else Path(sys.executable)
    except (OSError, ValueError) as error:  # InputError is one, and what venv raises for a link
        return f"{name}: skipped; {error}"
    path = output / (f"{name}.json" if preset == "standard" else f"{name}.{preset}.json")
    words = ["check-physics", peer.target, "--preset", preset, "--json", str(path), *peer.options]
    circumstances = {"preset": preset, "commit": commit()}
    finished = subprocess.run([str(python), "-m", "amp_tf.cli", *words], cwd=ROOT, check=False)
    if finished.returncode not in (0, 3, 4):
        return f"{name}: failed with exit status {finished.returncode}" + ("; the result of before stays" if path.is_file() else "")
    write_record(path, read_record(path) | circumstances)
    return f"{name}: {path}"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="Of peers; by default all.")] = None,
    preset: Annotated[str, typer.Option(help="quick, standard or full.")] = "standard",
    weights: Annotated[Path | None, typer.Option(help="The published weights of AMP-BMS, MIN_state_dict, which do not ship.")] = None,
) -> None:
    """Examine other potentials and ours."""
    peers = dict(PEERS)
    if weights is not None:
        from amp_tf.models.amp_bms_weights import import_weights

        potential = RUNS / "peers" / "amp_bms.keras"
        potential.parent.mkdir(parents=True, exist_ok=True)
        import_weights(weights, dtype="float64").save(potential)
        peers["AMP-BMS"] = Peer(str(potential.relative_to(ROOT)))
    if unknown := [name for name in names or () if name not in peers]:
        raise InputError(f"there is no peer {unknown[0]}; choose of {', '.join(peers)}.")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name in names or peers:
        typer.echo(examine(name, peers[name], preset, OUTPUT))


if __name__ == "__main__":
    run_command(app)
