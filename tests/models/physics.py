"""One physics test that every potential passes; ``test_broken_potentials.py`` proves that each check bites.

Each check takes a potential and raises AssertionError with its name as the first word.
"""

from dataclasses import replace

import numpy as np
from ase.build import molecule

from amp_tf.models import Potential
from amp_tf.systems import System

ENERGY_TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
GRADIENT_TOLERANCE = {"float32": 5e-4, "float64": 1e-9}
"""In units of the largest value compared, and at least of 1 kJ/mol or 1 kJ/mol/angstrom."""


def random_rotation(random: np.random.Generator) -> np.ndarray:
    """A proper rotation, uniformly distributed enough for a test: the orthogonal factor of a random matrix."""
    matrix, _ = np.linalg.qr(random.normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


def make_systems(potential: Potential, random: np.random.Generator) -> list[System]:
    """Distorted molecules of the elements H, C, O, a charged one among them, with MM charges around where the model sees them."""
    systems = []
    for name, charge in (("H2O", 0.0), ("CH3OH", 0.0), ("H2CO", 1.0)):
        atoms = molecule(name)
        positions = atoms.positions + random.normal(scale=0.05, size=atoms.positions.shape)
        mm = {}
        if potential.embeds_charges:
            directions = random.normal(size=(5, 3))
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            charges = random.choice(potential.mm_types, size=5) if potential.mm_nodes else random.normal(scale=0.5, size=5)
            mm = {"mm_positions": directions * random.uniform(3.5, 6.0, size=(5, 1)), "mm_charges": charges}
        systems.append(System(atoms.numbers, positions, charge, **mm))
    return systems


def moved(system: System, rotation: np.ndarray | None = None, shift=0.0) -> System:
    """The system turned and shifted as a whole, MM particles with it."""
    rotation = np.eye(3) if rotation is None else rotation
    return System(
        system.atomic_numbers,
        system.positions @ rotation.T + shift,
        system.total_charge,
        system.mm_positions @ rotation.T + shift,
        system.mm_charges,
    )


def compute(potential: Potential, systems: list[System]) -> dict:
    result = potential.compute_systems(systems)
    return result | {"mm_gradients": result.get("mm_gradients", [np.zeros((0, 3))] * len(systems))}


def close(found, expected, tolerance: float, name: str) -> None:
    """Largest deviation at most ``tolerance`` times the largest expected magnitude (times 1 where that is less)."""
    scale = max(1.0, np.max(np.abs(expected), initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=name)


def check_rotation(potential, systems, random):
    """Energies are invariant, gradients turn with the system, under rotations and the reflection."""
    before = compute(potential, systems)
    for rotation in (random_rotation(random), -random_rotation(random)):
        after = compute(potential, [moved(system, rotation) for system in systems])
        close(after["energy"], before["energy"], ENERGY_TOLERANCE[potential.compute_dtype], "rotation: energy")
        for key in ("qm_gradients", "mm_gradients"):
            for new, old in zip(after[key], before[key], strict=True):
                close(new, old @ rotation.T, GRADIENT_TOLERANCE[potential.compute_dtype], f"rotation: {key}")


def check_translation(potential, systems, random):
    """A box 60 angstrom from the origin gives the same energies and gradients."""
    before, after = compute(potential, systems), compute(potential, [moved(system, shift=[60.0, -60.0, 60.0]) for system in systems])
    close(after["energy"], before["energy"], ENERGY_TOLERANCE[potential.compute_dtype], "translation: energy")
    for new, old in zip(after["qm_gradients"], before["qm_gradients"], strict=True):
        close(new, old, GRADIENT_TOLERANCE[potential.compute_dtype], "translation: gradients")


def check_permutation(potential, systems, random):
    """Renumbering atoms and MM particles renumbers gradients and changes no energy."""
    before = compute(potential, systems)
    orders = [random.permutation(len(system.atomic_numbers)) for system in systems]
    mm_orders = [random.permutation(len(system.mm_charges)) for system in systems]
    permuted = [
        System(
            system.atomic_numbers[order],
            system.positions[order],
            system.total_charge,
            system.mm_positions[mm_order],
            system.mm_charges[mm_order],
        )
        for system, order, mm_order in zip(systems, orders, mm_orders, strict=True)
    ]
    after = compute(potential, permuted)
    close(after["energy"], before["energy"], ENERGY_TOLERANCE[potential.compute_dtype], "permutation: energy")
    for key, of_key in {"qm_gradients": orders, "mm_gradients": mm_orders}.items():
        for new, old, order in zip(after[key], before[key], of_key, strict=True):
            close(new, old[order], GRADIENT_TOLERANCE[potential.compute_dtype], f"permutation: {key}")


def check_batch_independence(potential, systems, random):
    """A system alone has the energy and the gradients that it has in a batch."""
    together = compute(potential, systems)
    for number, system in enumerate(systems):
        alone = compute(potential, [system])
        close(alone["energy"][0], together["energy"][number], ENERGY_TOLERANCE[potential.compute_dtype], "batch: energy")
        close(alone["qm_gradients"][0], together["qm_gradients"][number], GRADIENT_TOLERANCE[potential.compute_dtype], "batch: gradients")


def check_additivity(potential, systems, random):
    """Two neutral molecules far apart have the sum of their energies."""
    first, second = (system for system in systems if system.total_charge == 0.0)
    neutral = [System(system.atomic_numbers, system.positions) for system in (first, second)]
    distance = 100.0
    pair = System(
        np.concatenate([system.atomic_numbers for system in neutral]),
        np.concatenate([neutral[0].positions, neutral[1].positions + [distance, 0, 0]]),
    )
    energies = compute(potential, [pair, *neutral])["energy"]
    close(energies[0], energies[1] + energies[2], ENERGY_TOLERANCE[potential.compute_dtype], "additivity")


def check_numerical_gradients(potential, systems, random):
    """Gradients of QM and MM positions equal central differences (float64 alone: float32 has no digits left for a difference)."""
    if potential.compute_dtype != "float64":
        return
    step = 3e-6  # at 1e-5 the third derivatives of random weights already show
    for system in systems:
        result = compute(potential, [system])
        for field, key in {"positions": "qm_gradients", "mm_positions": "mm_gradients"}.items():
            values = getattr(system, field)
            displaced = []
            for index in np.ndindex(values.shape):
                for sign in (1, -1):
                    changed = values.copy()
                    changed[index] += sign * step
                    displaced.append(replace(system, **{field: changed}))
            if displaced:
                energies = compute(potential, displaced)["energy"].reshape(-1, 2)
                numerical = ((energies[:, 0] - energies[:, 1]) / (2 * step)).reshape(values.shape)
                close(result[key][0], numerical, 1e-6, f"numerical: {key}")


def check_mm_potentials(potential, systems, random):
    """The potentials at the MM particles equal central differences by their charges."""
    if potential.compute_dtype != "float64" or potential.mm_nodes or not potential.embeds_charges:
        return
    step = 1e-5
    for system in systems:
        found = potential.compute_systems([system], mm_potentials=True)["mm_potentials"][0]
        displaced = [
            replace(system, mm_charges=system.mm_charges + sign * step * (np.arange(len(found)) == particle))
            for particle in range(len(found))
            for sign in (1, -1)
        ]
        energies = compute(potential, displaced)["energy"].reshape(-1, 2)
        close(found, (energies[:, 0] - energies[:, 1]) / (2 * step), 1e-6, "mm_potentials")


def check_total_force_and_torque(potential, systems, random):
    """The gradients of all positions of a system sum to zero, and so does their torque."""
    result = compute(potential, systems)
    for number, system in enumerate(systems):
        positions = np.concatenate([system.positions, system.mm_positions])
        gradients = np.concatenate([result["qm_gradients"][number], result["mm_gradients"][number]])
        tolerance = GRADIENT_TOLERANCE[potential.compute_dtype] * np.sum(np.abs(gradients))
        close(gradients.sum(axis=0), 0.0, tolerance, "force: sum of gradients")
        close(np.cross(positions, gradients).sum(axis=0), 0.0, tolerance, "torque")


def check_charges(potential, systems, random):
    """Charges, where a model predicts them, sum to the total charge of each system."""
    result = compute(potential, systems)
    for system, charges in zip(systems, result.get("charges", []), strict=bool(result.get("charges"))):
        close(charges.sum(), system.total_charge, 1e-5 if potential.compute_dtype == "float32" else 1e-12, "charge")


def check_multipoles(potential, systems, random):
    """Multipoles, where a model has them, are symmetric and traceless."""
    for orders in compute(potential, systems).get("multipoles", []):
        for moment in orders[2:]:
            trace = np.einsum("naa...->n...", moment)
            close(trace, 0.0, 1e-5 * np.max(np.abs(moment)), "traceless")
            close(np.swapaxes(moment, 1, -1), moment, 1e-5, "traceless: symmetry")


def check_continuity(potential, systems, random):
    """Energy and gradients have no step where an atom crosses the cut-off of the messages."""
    if potential.compute_dtype != "float64":
        return
    oxygen = next(system for system in systems if len(system.atomic_numbers) == 3)
    far = oxygen.positions[0] + np.array([0.0, 0.0, potential.cutoff])
    results = []
    for offset in (-1e-6, 1e-6):
        positions = np.concatenate([oxygen.positions, [far + [0.0, 0.0, offset]]])
        results.append(compute(potential, [System(np.append(oxygen.atomic_numbers, 1), positions)]))
    close(results[0]["energy"], results[1]["energy"], 1e-4, "continuity: energy")
    close(results[0]["qm_gradients"][0], results[1]["qm_gradients"][0], 1e-2, "continuity: gradients")
    if potential.mm_nodes:
        mm_charges = np.array(potential.mm_types[:1])
        results = [
            compute(potential, [replace(oxygen, mm_positions=far[None] + [[0.0, 0.0, offset]], mm_charges=mm_charges)])
            for offset in (-1e-6, 1e-6)
        ]
        close(results[0]["energy"], results[1]["energy"], 1e-4, "continuity: energy with an MM particle")
        close(results[0]["mm_gradients"][0], results[1]["mm_gradients"][0], 1e-2, "continuity: gradient of an MM particle")


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_rotation, check_translation, check_permutation, check_batch_independence, check_additivity, check_numerical_gradients,
        check_mm_potentials, check_total_force_and_torque, check_charges, check_multipoles, check_continuity,
    )
}  # fmt: skip


def run_physics_test(potential: Potential, skip: tuple[str, ...] = ()) -> None:
    """Run every check but those named in ``skip``."""
    for name, check in CHECKS.items():
        if name not in skip:
            random = np.random.default_rng(5)
            check(potential, make_systems(potential, random), random)


def failing_checks(potential: Potential) -> list[str]:
    """The names of the checks that a potential fails."""
    failed = []
    for name in CHECKS:
        try:
            run_physics_test(potential, skip=tuple(set(CHECKS) - {name}))
        except AssertionError:
            failed.append(name)
    return failed
