"""Calculators of other potentials whose weights are in their wheels, for environments that have these (``make check-peers``)."""

from typing import Any


def ani(name: str, dtype: str = "float64") -> Any:
    """TorchANI's ensembles, whose weights are in its wheel.

    Args:
        name: ``ANI1x`` or ``ANI1ccx``.
        dtype: ``float32`` or ``float64``.
    """
    import torch
    import torchani

    torch.set_num_threads(1)
    model = getattr(torchani.models, name)(periodic_table_index=True)
    return model.to(getattr(torch, dtype)).ase()


def sevennet(name: str) -> Any:
    """SevenNet's potentials, whose weights are in its wheel: ``7net-0``, ``7net-l3i5``; in single precision."""
    import torch
    from sevenn.calculator import SevenNetCalculator

    torch.set_num_threads(1)
    return SevenNetCalculator(name, device="cpu")
