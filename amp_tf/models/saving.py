"""How a potential is saved: to files that are whole or not there. :mod:`amp_tf.models.loading` reads them."""

import os
from pathlib import Path

import keras

from amp_tf.errors import AmpTFError
from amp_tf.files import whole_file
from amp_tf.models.processes import unpickled
from amp_tf.models.settings import require


class Saved(keras.Model):
    """Saving and pickling of a model."""

    def save(self, filepath: Path | str, overwrite: bool = True, **settings) -> None:
        """Save to a ``.keras`` file, which is whole or not there, whatever happens.

        Raises:
            InputError: for what is no path that ends in ``.keras``, or, without ``overwrite``, a file that is there already.
            AmpTFError: if it cannot be written.
        """
        is_path = isinstance(filepath, str | os.PathLike)
        require(is_path and Path(filepath).suffix == ".keras", f"a potential is saved to a path that ends in .keras, got {filepath!r}.")
        require(settings.pop("zipped", True) is not False, "a potential is one file; leave zipped=False, which makes a folder, out.")
        path = Path(filepath)
        require(overwrite or not os.path.exists(path), f"{path} is there already; choose another name.")
        if os.path.isdir(path):
            raise AmpTFError(f"{path} is a folder; choose another name.")
        with whole_file(path) as partial:
            super().save(partial, **settings)

    def save_weights(self, filepath: Path | str, overwrite: bool = True, **settings) -> None:
        """As Keras's, to one file that is whole or not there, whatever happens.

        Raises:
            InputError: for what is no path that ends in ``.weights.h5``, or, without ``overwrite``, a file that is there already.
            AmpTFError: if it cannot be written.
        """
        is_path = isinstance(filepath, str | os.PathLike)
        require(
            is_path and os.fspath(filepath).endswith(".weights.h5"),
            f"weights are saved to a path that ends in .weights.h5, got {filepath!r}.",
        )
        require(overwrite or not os.path.exists(filepath), f"{filepath} is there already; choose another name.")
        with whole_file(filepath) as partial:
            super().save_weights(partial, **settings)

    def __reduce__(self):
        return unpickled, super().__reduce__()
