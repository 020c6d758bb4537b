"""What a test is given: the calculator, the molecules it can compute, the noise of each, and where its curves go."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from amp_tf.physics.noise import Noise, measured_noise
from amp_tf.physics.subject import MEV, Molecule, PointLost, Subject
from amp_tf.physics.verdicts import Row, judged

LARGEST = 3.0
"""The largest of some hundred rounding errors by their root mean square."""

RATTLE_OF_OWN = 0.05
"""Standard deviation of each coordinate of the user's molecules, angstrom."""

MOVE_LESS = (1.0, 0.5, 0.25, 0.1)
"""Parts of a move of all atoms, of which the first is taken that the calculator is for."""

OUTSIDE = ", as no molecule of its training data"
"""After the name of a molecule that a calculator could compute, but is not for."""


class NotApplicable(Exception):
    """Elements or the domain of a calculator leave nothing to look at; tells why."""


@dataclass
class Curve:
    """Energies along a path.

    Attributes:
        test, name: what it shows.
        quantity, unit: of ``x``.
        x, y: the path, and energies in eV.
        noise: of ``y`` by rounding, eV.
        reference: energies to compare with, eV, at ``reference_x``, and where they are from.
    """

    test: str
    name: str
    quantity: str
    unit: str
    x: np.ndarray
    y: np.ndarray
    noise: float
    reference_x: np.ndarray | None = None
    reference: np.ndarray | None = None
    source: str = ""

    def as_record(self) -> dict[str, Any]:
        """For JSON."""

        def numbers(values: np.ndarray | None) -> list | None:
            return None if values is None else [round(float(value), 9) if np.isfinite(value) else None for value in values]

        return {
            "test": self.test, "name": self.name, "quantity": self.quantity, "unit": self.unit, "x": numbers(self.x), "y": numbers(self.y),
            "noise": self.noise, "reference_x": numbers(self.reference_x), "reference": numbers(self.reference), "source": self.source,
        }  # fmt: skip


@dataclass
class Bench:
    """Under which a calculator is examined.

    Attributes:
        subject: the calculator.
        given: probes, and molecules of the user.
        base_seed: of everything random.
        is_thorough: whether longer forms of tests are wanted.
        curves: that tests have made.
        dropped: molecules that could not be computed, with the reason.
    """

    subject: Subject
    given: list[Molecule]
    base_seed: int = 0
    is_thorough: bool = True
    curves: list[Curve] = field(default_factory=list)
    maps: list[dict[str, Any]] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    _noises: dict[str, Noise] = field(default_factory=dict)
    _noise_of: dict[bytes, Noise] = field(default_factory=dict)
    _can: dict[str, bool] = field(default_factory=dict)

    def seed(self, test: str) -> int:
        """Of a test, whichever others run."""
        return zlib.crc32(f"{self.base_seed} {test}".encode())

    def random(self, test: str) -> np.random.Generator:
        """Numbers of a test."""
        return np.random.default_rng(self.seed(test))

    def known(self, molecules: Iterable[Molecule], in_domain: bool = False) -> list[Molecule]:
        """Those that the calculator can compute; ``in_domain``, and for a potential of one molecule always: and is for. What it makes of
        others is so steep, far from all data, that rounding decides."""
        in_domain = in_domain or self.subject.own is not None
        found = []
        for molecule in molecules:
            key = f"{molecule.name} {molecule.is_own} {molecule.charge} {sorted(molecule.elements)}"
            if key not in self._can:
                self._can[key] = self._computes(molecule)
            if self._can[key]:
                if in_domain and (complaint := self.subject.outside(molecule)):
                    self.dropped[molecule.name + OUTSIDE] = complaint
                else:
                    found.append(molecule)
        return found

    def _computes(self, molecule: Molecule) -> bool:
        try:
            self.subject.both(molecule)
        except PointLost as error:
            self.dropped[molecule.name] = str(error)
            return False
        return True

    def molecules(self, in_domain: bool = False) -> list[Molecule]:
        """Probes and the user's molecules, these rattled too: at a minimum or in a plane much is zero whatever the forces are.

        Raises:
            NotApplicable: where none is left.
        """
        return self.some((self._rattled(molecule) if molecule.is_own else molecule for molecule in self.given), in_domain)

    def _rattled(self, molecule: Molecule) -> Molecule:
        shifts = self.random(f"rattle {molecule.name}").normal(scale=RATTLE_OF_OWN, size=molecule.positions.shape)
        return replace(self.moved(molecule, shifts), name=f"{molecule.name}, rattled")

    def moved(self, molecule: Molecule, shifts: np.ndarray) -> Molecule:
        """With atoms moved by ``shifts`` [n_atoms, 3], angstrom, or by less where the calculator is for one molecule and not for that: a
        stiff one leaves the training data soon."""
        for part in MOVE_LESS:
            moved = molecule.at(molecule.positions + part * shifts)
            if self.subject.own is None or self.subject.outside(moved) is None:
                break
        return moved

    @property
    def own(self) -> list[Molecule]:
        """The user's molecules as they are."""
        return [molecule for molecule in self.given if molecule.is_own]

    def some(self, molecules: Iterable[Molecule], in_domain: bool = False) -> list[Molecule]:
        """:meth:`known`, and at least one.

        Raises:
            NotApplicable: where none is left.
        """
        molecules = list(molecules)
        if found := self.known(molecules, in_domain):
            return found
        reasons = [self.dropped.get(molecule.name) or self.dropped.get(molecule.name + OUTSIDE) for molecule in molecules]
        raise NotApplicable(next(filter(None, reasons), "there is no molecule for it"))

    def every(self, molecules: Iterable[Molecule], in_domain: bool = False) -> list[Molecule]:
        """:meth:`known`, and all of them.

        Raises:
            NotApplicable: for one that is not.
        """
        return [self.some([molecule], in_domain)[0] for molecule in molecules]

    def require_alone(self) -> None:
        """For what is chemistry of a molecule without surroundings.

        Raises:
            NotApplicable: where the calculator is for one among charges only.
        """
        if self.subject.needs_charges:
            raise NotApplicable("its training data have no molecule without charges around it")

    def noise(self, molecule: Molecule) -> Noise:
        """Of a molecule as the tests have it; measured once."""
        key = molecule.numbers.tobytes() + molecule.positions.tobytes()
        if key not in self._noise_of:
            self._noise_of[key] = measured_noise(self.subject, molecule, self.random("noise"))
            self._noises.setdefault(molecule.name, self._noise_of[key])
        return self._noise_of[key]

    def small_energy(
        self, test: str, metric: str, molecule: Molecule, value: float, limits: tuple[float, float], note: str = "",
        at: Molecule | None = None,
    ) -> Row:  # fmt: skip
        """The verdict on the largest of many errors of the energy, eV; limits in meV. ``at``: a geometry whose noise may be larger."""
        noise = max(self.noise(where).energy for where in (molecule, at or molecule))
        return judged(test, metric, molecule.name, "meV", value / MEV, limits, LARGEST * noise / MEV, note)

    def small_force(
        self, test: str, metric: str, molecule: Molecule, value: float, limits: tuple[float, float], note: str = "",
        at: Molecule | None = None,
    ) -> Row:  # fmt: skip
        """The verdict on the largest of many errors of forces, eV/angstrom; limits in meV/angstrom. ``at`` as above."""
        noise = max(self.noise(where).forces for where in (molecule, at or molecule))
        return judged(test, metric, molecule.name, "meV/angstrom", value / MEV, limits, LARGEST * noise / MEV, note)

    def curve(
        self, test: str, name: str, quantity: str, unit: str, x: np.ndarray, y: np.ndarray, molecule: Molecule,
        reference: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Keep a curve for the report, with the noise of a molecule on it, beside a reference with ``x``, ``y`` and ``source``."""
        given = reference or {}
        shown = {key: np.array(given[name]) for key, name in {"reference_x": "x", "reference": "y"}.items() if name in given}
        noise, source = self.noise(molecule).energy, given.get("source", "")
        self.curves.append(Curve(test, name, quantity, unit, np.asarray(x), np.asarray(y), noise, **shown, source=source))
