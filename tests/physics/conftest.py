"""Short dynamics."""

import pytest


@pytest.fixture(scope="package", autouse=True)
def _short_dynamics():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("amp_tf.physics.conservation.MD_PICOSECONDS", 1.0)
        yield
