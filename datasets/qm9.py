"""QM9 for Table 3 (paper, 4.4 and A.6): 133 885 molecules less those whose geometry failed the consistency check.

The archive and the list of those are fetched from figshare (Ramakrishnan et al., Sci. Data 1, 140022 (2014), doi
10.6084/m9.figshare.c.978904), checked against the MD5 sums that figshare states, and converted.

Run ``make dataset-qm9`` or ``python -m datasets.qm9 --help``.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import pooch
import typer

from amp_tf.command import run_command
from amp_tf.data import qm9
from amp_tf.data.frames import as_reference_data
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.errors import InputError
from amp_tf.files import check_outputs

SITE = "https://ndownloader.figshare.com/files"
SOURCES = {
    "dsgdb9nsd.xyz.tar.bz2": (f"{SITE}/3195389", "md5:ad1ebd51ee7f5b3a6e32e974e5d54012"),
    "uncharacterized.txt": (f"{SITE}/3195404", "md5:a361887bacb427b8a0ce7903d92a53b4"),
}
"""Address and checksum of each file."""


def fetch(name: str, folder: Path) -> Path:
    """A file of :data:`SOURCES` in ``folder``, fetched unless it is there already.

    Raises:
        InputError: if it cannot be fetched; says where to put it. If it is another file.
    """
    address, checksum = SOURCES[name]
    place = folder / name
    if place.is_file() and not pooch.hashes.hash_matches(place, checksum):
        raise InputError(f"{place} is not the published file (its {checksum.partition(':')[0]} sum differs); remove it, and it is fetched.")
    try:
        return Path(pooch.retrieve(address, checksum, name, folder, progressbar=True))
    except Exception as error:  # what requests, sockets and file systems raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{name} could not be fetched ({reason}); get it from {address} and put it into {folder}.") from error


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def build(
    output: Annotated[Path, typer.Option(help="Reference data to write.")] = Path("runs/qm9.h5"),
    folder: Annotated[Path, typer.Option(help="Where the archive and the list are, or are fetched to.")] = Path("runs/qm9_source"),
) -> None:
    """QM9 without the molecules that failed the consistency check, with all twelve targets."""
    check_outputs([output], {name: folder / name for name in SOURCES})
    archive, listed = (fetch(name, folder) for name in SOURCES)
    frames = qm9.read_qm9(archive, listed, progress=True)
    command = shlex.join(["python", "-m", "datasets.qm9", *sys.argv[1:]])
    data = as_reference_data(frames, archive.name, qm9.LEVEL_OF_THEORY, command, qm9.ENERGY_REFERENCE)
    digest = write_reference_data(output, data.provenance, data.groups)
    typer.echo(f"{output}: {len(data)} molecules of {len(data.groups)} compositions; sha256 {digest}")


if __name__ == "__main__":
    run_command(app)
