"""PySCF's own errors as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from amp_tf.errors import EngineError
from datasets.engines.base import CalculationError


@contextmanager
def sentences(check: str) -> Iterator[None]:
    """Within, errors of linear algebra are those of one geometry, and others ask to ``check`` what was asked for.

    Raises:
        CalculationError: for one geometry.
        EngineError: for all.
    """
    try:
        yield
    except EngineError:
        raise
    except np.linalg.LinAlgError as error:
        raise CalculationError(f"PySCF: {' '.join(str(error).split())[:300]}; look at the geometry.") from error
    except (KeyError, RuntimeError, ValueError) as error:
        raise EngineError(f"PySCF: {' '.join(str(error).split())[:300]}; check {check}.") from error
