"""The potentials that ship inside the package, by name."""

from pathlib import Path

from amp_tf.errors import DataFileError
from amp_tf.files import no_file

FOLDER = Path(__file__).with_name("potentials")
FILES = {file.stem: file for file in sorted(FOLDER.glob("*.keras"))}
"""Of these potentials, by name."""


def potential_file(path: Path | str) -> Path:
    """The file of a potential: at ``path`` or, where no file is there and ``path`` is the name of a potential that ships, of that one.

    Raises:
        DataFileError: if there is neither; tells the names.
    """
    if not (stands := no_file(path)):
        return Path(path)
    if str(path) in FILES:
        return FILES[str(path)]
    raise DataFileError(f"{path}: {stands}; give the file of a potential, *.keras, or the name of one that ships: {', '.join(FILES)}.")
