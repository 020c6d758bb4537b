"""The plug-in for OpenMM-ML: ``MLPotential("amp_tf", path=…).createMixedSystem(…, embedding="electrostatic")``."""

from pathlib import Path

from amp_tf.errors import InputError


class PotentialFactory:
    """What OpenMM-ML finds by the entry point ``amp_tf`` of its group ``openmmml.potentials``."""

    def createImpl(self, name: str, path: Path | str | None = None, **settings):
        """The implementation for the potential at ``path``."""
        if path is None:
            raise InputError(f'MLPotential("{name}") needs path=, the file of a trained potential.')
        if settings:
            raise InputError(f'MLPotential("{name}") knows path, not {", ".join(settings)}.')
        return PotentialImpl(path)


class PotentialImpl:
    """Of an isolated molecule, mechanically embedded by OpenMM-ML, or, for which it is made, embedded electrostatically.

    Args:
        path: of a trained potential, or the name of one that ships.
    """

    def __init__(self, path: Path | str):
        self.path = path

    def getSupportedEmbeddings(self) -> list[str]:
        """Names of the embeddings."""
        return ["electrostatic"]

    def getMLLongRange(self) -> bool:
        """The potential sees no periodic images."""
        return False

    def addForces(self, topology, system, atoms, forceGroup, **settings):
        """As :func:`amp_tf.interfaces.openmm.add_force`, whose ``charge``, ``xla`` and ``margin`` may be given.

        Raises:
            InputError: for other settings, and as that function.
        """
        from amp_tf.interfaces.openmm import add_force

        _check(settings, {"charge", "xla", "margin"})
        add_force(topology, system, atoms, self.path, force_group=forceGroup, **settings)

    def createMixedSystem(self, topology, system, atoms, forceGroup, interpolate, embedding, returnInfo=False, **settings):
        """As :func:`amp_tf.interfaces.openmm.make_mixed_system`, whose ``charge``, ``zone``, ``xla`` and ``margin`` may be given.

        Raises:
            InputError: for interpolation, other settings, and as that function.
        """
        from amp_tf.interfaces.openmm import make_mixed_system

        if interpolate:
            raise InputError("interpolate: energies of an embedded potential and of a force field have no common zero; leave it out.")
        _check(settings, {"charge", "zone", "xla", "margin"})
        return make_mixed_system(topology, system, atoms, self.path, force_group=forceGroup, **settings)


def _check(settings, known: set[str]) -> None:
    if unknown := set(settings) - known:
        raise InputError(f"amp_tf knows {', '.join(sorted(known))} here, not {', '.join(sorted(unknown))}; leave it out.")
