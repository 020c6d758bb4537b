"""All tests by name, which of them run, and their results."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from amp_tf.errors import InputError
from amp_tf.physics import conservation, cosan, information, locality, scans, symmetry
from amp_tf.physics.bench import OUTSIDE, Bench, Curve, NotApplicable
from amp_tf.physics.molecules import probes
from amp_tf.physics.subject import Molecule, PointLost, Subject
from amp_tf.physics.verdicts import ERROR, FAIL, NOT_APPLICABLE, NOT_RUN, Row, worst
from amp_tf.progress import progress_bar


@dataclass(frozen=True)
class Check:
    """A test.

    Attributes:
        run: gives its rows.
        group: under which it is listed.
        harm: what a failure does to a simulation, a sentence.
        study: its section in the study of ML potentials, "" for one that is not in it.
    """

    run: Callable[[Bench], Iterator[Row]]
    group: str
    harm: str
    study: str = ""


CHECKS = {
    "translation": Check(symmetry.translation, "symmetry", "Energies depend on where a molecule is; what diffuses is heated.", "5.2.1"),
    "rotation": Check(symmetry.rotation, "symmetry", "Some orientations are preferred: molecules align without a field.", "5.2.1"),
    "mirror": Check(symmetry.mirror, "symmetry", "Mirror images differ: one enantiomer or sense of a twist is preferred."),
    "permutation": Check(symmetry.permutation, "symmetry", "The order of atoms in the file changes energies: no two programs agree."),
    "momentum": Check(conservation.momentum, "conservation", "Isolated molecules start to move or spin.", "5.2.2"),
    "gradient": Check(conservation.gradient, "conservation", "Forces belong to no energy: minima of both differ, temperature drifts."),
    "loop": Check(conservation.loop, "conservation", "Going around a path gains or loses energy: dynamics heat or cool without end."),
    "jacobian": Check(conservation.jacobian, "conservation", "Vibrations from forces are wrong, and dynamics do not conserve energy."),
    "nve": Check(conservation.nve, "conservation", "The total energy drifts: long dynamics need a thermostat to hide it."),
    "extensivity": Check(locality.extensivity, "locality", "Molecules far apart change each other's energy: binding is wrong."),
    "cutoff": Check(locality.cutoff, "locality", "Energy jumps where molecules pass the cut-off: dynamics are heated.", "5.1.1"),
    "diatomics": Check(scans.diatomics, "pes", "Atoms stick at wrong distances, or cannot meet or part.", "5.1.1"),
    "wall": Check(scans.wall, "pes", "Atoms that collide hard fall into each other: hot dynamics and minimizers end in nonsense."),
    "stretch": Check(scans.stretch, "pes", "Bonds break at the wrong price, or stick half open.", "5.1.1"),
    "bend": Check(scans.bend, "pes", "Angles open too easily or too hard, or the molecule prefers another shape.", "5.1.2"),
    "torsion": Check(scans.torsion, "pes", "Conformers have wrong populations.", "5.1.3"),
    "cyclobutadiene": Check(scans.cyclobutadiene_map, "pes", "Strained and antiaromatic rings get the wrong shape.", "5.3.2"),
    "cosan": Check(cosan.cosan, "pes", "Ligands of a sandwich turn as no complex does.", "5.3.1"),
    "homometric": Check(information.homometric, "information", "", "notes"),
    "charge": Check(information.charge, "information", "Results of one charge are given for another."),
    "embedding": Check(information.embedding, "information", "QM/MM forces are no gradient or do not cancel, or uncharged particles act."),
}  # fmt: skip
"""By name, in the order in which they run."""

GROUPS = tuple(dict.fromkeys(check.group for check in CHECKS.values()))
_QUICK = [name for name, check in CHECKS.items() if check.group in ("symmetry", "conservation") and name != "nve"]
_STANDARD = [name for name in CHECKS if name != "cosan"]
PRESETS = {"quick": _QUICK, "standard": _STANDARD, "full": list(CHECKS)}
"""Tests of a preset: a minute, ten minutes, and all."""

CAUSES = {
    ("mirror", ""): ("rotation",),
    ("momentum", "net torque"): ("rotation", "gradient"),
    ("momentum", "net force"): ("translation", "gradient"),
    ("bend", "E(angle) - E(360 - angle)"): ("rotation",),
    ("cyclobutadiene", "E(a, b) - E(b, a)"): ("rotation", "permutation"),
    ("torsion", "E(φ) - E(-φ)"): ("mirror", "rotation"),
    ("torsion", "E(φ) - E(φ + 120)"): ("rotation", "permutation"),
    ("cosan", "E(φ) - E(-φ)"): ("mirror", "rotation"),
    ("extensivity", ""): ("permutation",),
    ("nve", ""): ("gradient", "loop", "jacobian"),
    ("jacobian", ""): ("gradient", "loop"),
}
"""By test and metric (any where it is empty): the tests whose failure explains a failure there."""


def chosen_tests(wanted: str | Sequence[str]) -> list[str]:
    """Names of tests from presets, groups, names, ``study`` (what the study has) and ``all``, in the order in which they run.

    Raises:
        InputError: for a word that is none of these.
    """
    words = [word.strip() for word in (wanted.split(",") if isinstance(wanted, str) else wanted)]
    found: set[str] = set()
    for word in words:
        of_word = (
            list(CHECKS) if word == "all"
            else [name for name, check in CHECKS.items() if check.study] if word == "study"
            else PRESETS.get(word) or [name for name, check in CHECKS.items() if word in (name, check.group)]
        )  # fmt: skip
        if not of_word:
            known = ", ".join([*PRESETS, *GROUPS, "study", "all", *CHECKS])
            raise InputError(f"there is no test {word!r}; choose of {known}.")
        found |= set(of_word)
    return [name for name in CHECKS if name in found]


@dataclass
class PhysicsResult:
    """What tests found.

    Attributes:
        rows: one measured number each, :class:`amp_tf.physics.verdicts.Row`.
        curves, maps: energies along paths, and over cyclobutadiene's sides.
        tests: that were asked for.
        target: what was examined.
        seconds: of each test.
        record: settings, calls of the calculator, molecules that it could not compute.
        was_interrupted: whether some tests did not run.
    """

    rows: list[Row]
    curves: list[Curve]
    maps: list[dict[str, Any]]
    tests: list[str]
    target: str
    seconds: dict[str, float]
    record: dict[str, Any] = field(default_factory=dict)
    was_interrupted: bool = False

    def verdict(self, test: str | None = None) -> str:
        """Of a test or a group; None: of all."""
        names = [name for name in self.tests if test in (None, name, CHECKS[name].group)]
        return worst(row.verdict for row in self.rows if row.test in names)

    def failures(self, roots: bool = False) -> list[str]:
        """Tests that fail; ``roots``: without those whose failures all follow from another's."""
        failing = [row for row in self.rows if row.verdict == FAIL and not (roots and row.follows_from)]
        return [name for name in self.tests if any(row.test == name for row in failing)]


def check_physics(
    calculator: Any, molecules: Sequence[Molecule] | None = None, tests: str | Sequence[str] = "standard", seed: int = 0,
    budget: float | None = None, name: str | None = None, progress: bool = False,
) -> PhysicsResult:  # fmt: skip
    """Examine a calculator.

    Args:
        calculator: of ASE, with energies and forces, or a :class:`amp_tf.physics.subject.Subject`.
        molecules: beside the probes, :func:`amp_tf.physics.molecules.read_molecule`; by default that of a potential of one molecule.
        tests: names, groups and presets, :func:`chosen_tests`.
        seed: of everything random.
        budget: seconds after which no further test starts.
        name: of the calculator.
        progress: show a bar.

    Raises:
        InputError: for unknown tests, a calculator without energies or forces, and one that computes no molecule.
    """
    subject = calculator if isinstance(calculator, Subject) else Subject(calculator, name or type(calculator).__name__)
    names = chosen_tests(tests)
    if seed < 0:
        raise InputError(f"the seed must not be negative, got {seed}.")
    given = molecules or ([subject.own] if subject.own else [])
    bench = Bench(subject, [*_named_apart(given), *probes(seed)], seed, is_thorough=set(names) != set(_QUICK))
    for molecule in bench.own:
        if not bench.known([molecule]):
            if why := bench.dropped.get(molecule.name):
                raise InputError(f"{subject.name} does not compute {molecule.name} ({why}); leave it out.")
            why = bench.dropped[f"{molecule.name}{OUTSIDE}"]
            raise InputError(f"{molecule.name} is not in the training data of {subject.name} ({why}); leave it out.")
    if not bench.known(bench.given):
        raise InputError(f"{subject.name} computes none of the molecules; the last said: {list(bench.dropped.values())[-1]}.")
    result = PhysicsResult([], bench.curves, bench.maps, names, subject.name, {})
    began = time.perf_counter()
    with progress_bar(total=len(names), desc="check", unit="test", disable=not progress) as bar:
        for test in names:
            bar.set_postfix_str(test)
            started = time.perf_counter()
            if result.was_interrupted or (budget is not None and started - began > budget):
                why = "interrupted" if result.was_interrupted else f"the budget of {budget:g} s was spent"
                result.rows.append(Row(test, "", verdict=NOT_RUN, note=why))
                continue
            try:
                _run(CHECKS[test], test, bench, result.rows)
            except KeyboardInterrupt:
                result.was_interrupted = True
                result.rows.append(Row(test, "", verdict=NOT_RUN, note="interrupted"))
            result.seconds[test] = round(time.perf_counter() - started, 2)
            bar.update()
    result.rows = _with_causes(result.rows)
    noises = {name: {"energy_ev": noise.energy, "forces_ev_per_angstrom": noise.forces} for name, noise in bench._noises.items()}
    result.record = {
        "seed": seed, "calls": subject.n_calls, "seconds_of_calls": round(subject.seconds, 2), "returned": sorted(subject.returned),
        "molecules": [molecule.name for molecule in bench.given], "own": [molecule.name for molecule in bench.own],
        "dropped": bench.dropped, "noise": noises,
    }  # fmt: skip
    return result


def _named_apart(molecules: Sequence[Molecule]) -> list[Molecule]:
    """Files of one name in two folders get numbers."""
    names = [molecule.name for molecule in molecules]
    return [
        molecule if names.count(molecule.name) == 1 else replace(molecule, name=f"{molecule.name} ({number})")
        for number, molecule in enumerate(molecules, 1)
    ]


def _run(check: Check, test: str, bench: Bench, found: list[Row]) -> None:
    """Add the rows of one test; what it raises ends it alone."""
    before = len(found)
    try:
        for row in check.run(bench):
            found.append(row)
        if len(found) == before:
            found.append(Row(test, "", verdict=NOT_APPLICABLE, note="its molecules have nothing of the kind"))
    except NotApplicable as reason:
        found.append(Row(test, "", verdict=NOT_APPLICABLE, note=str(reason)))
    except PointLost as error:
        found.append(Row(test, "", verdict=ERROR, note=str(error)))
    except Exception as error:  # one test that fails must not take the others with it
        found.append(Row(test, "", verdict=ERROR, note=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"))


def _with_causes(rows: list[Row]) -> list[Row]:
    """Failures that follow from other tests' say so."""
    failing = {row.test for row in rows if row.verdict == FAIL}
    found = []
    for row in rows:
        causes = CAUSES.get((row.test, row.metric)) or CAUSES.get((row.test, "")) or ()
        cause = next((name for name in causes if name in failing), "")
        found.append(replace(row, follows_from=cause) if row.verdict == FAIL and cause else row)
    return found
