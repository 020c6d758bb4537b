"""The errors that amp_tf raises on purpose: one clear sentence that names the culprit and the remedy."""


class AmpTFError(Exception):
    """Base of all errors that amp_tf raises on purpose; the command line prints them without a traceback."""

    ag_pass_through = True  # inside a tf.function TensorFlow would put them into an error of its own, with a traceback as message


class InputError(AmpTFError, ValueError):
    """An argument, configuration or molecule that cannot be used as given."""


class DataFileError(InputError):
    """A data or model file that is missing, damaged, altered, of another format, or lacks a label."""


class EngineError(AmpTFError, RuntimeError):
    """A program or library that is not installed, or an engine that failed on a calculation."""


class TrainingError(AmpTFError, RuntimeError):
    """A training run that cannot go on, for example after NaN in the loss."""


class SimulationError(AmpTFError, RuntimeError):
    """Dynamics that cannot go on, for example after a geometry outside the range of the training data."""


def not_installed(name: str, extra: str = "openmm") -> EngineError:
    """What is raised where a library of one of the package's extras is missing."""
    return EngineError(f"{name} is not installed; install it with: pip install 'amp_tf[{extra}]'")
