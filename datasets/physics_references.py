"""What ``amp-tf check-physics`` ships: reference curves from PySCF (amp_tf/physics/data/references.json) and geometries from xtb (*.xyz).

``python -m datasets.physics_references curves`` and ``… geometries``; finished points are kept, the same command goes on.
"""

import datetime
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ase import Atoms
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from amp_tf import units
from amp_tf.command import run_command
from amp_tf.errors import EngineError, InputError
from amp_tf.files import whole_file, write_text
from amp_tf.physics.molecules import cyclobutadiene, diatomic, heavy_bonds, of_collection, side_of_bond, stretched, turned, water
from amp_tf.physics.references import BOND_LENGTHS
from amp_tf.physics.subject import Molecule
from amp_tf.simulation.solutes import Solute, solute_from_smiles
from datasets.engines import XTBEngine
from datasets.parts import Arrays, Parts, run_all
from datasets.qmmm_sampling import relaxed

DATA = Path(__file__).resolve().parent.parent / "amp_tf" / "physics" / "data"
EV = units.HARTREE / units.EV
"""eV in a hartree."""

ACTIVE = {
    "N2": (6, 1, "Ag", 2), "O2": (8, 3, "B1g", 2), "F2": (10, 1, "Ag", 2), "Cl2": (10, 1, "Ag", 4), "Si2": (4, 3, "B1g", 4),
}  # fmt: skip
"""Electrons in the six orbitals of the valence p shells, multiplicity and symmetry in D2h of the ground state (B1g: triplet Sigma-), and
inactive sigma orbitals of each parity."""

UNSTABLE = 1e-4
"""NEVPT2 energies over one CASSCF solution that differ by more, hartree, are not determined by it, and are left out."""

P_SHELLS = ("B2u", "B3u", "B2g", "B3g")
"""Of the pi orbitals in D2h; those of the sigma orbitals are Ag and B1u."""


def _mole(molecule: Molecule, basis: str) -> Any:
    from pyscf import gto

    atoms = list(zip(Atoms(molecule.numbers).get_chemical_symbols(), molecule.positions.tolist(), strict=True))
    return gto.M(atom=atoms, basis=basis, charge=molecule.charge, spin=molecule.spin - 1, verbose=0)


def full_ci_of_two(molecule: Molecule) -> float:
    """CCSD of two electrons, which is exact in its basis, aug-cc-pVTZ."""
    from pyscf import cc, scf

    return cc.CCSD(scf.RHF(_mole(molecule, "aug-cc-pvtz")).run()).run().e_tot


def coupled_cluster(molecule: Molecule) -> float:
    """CCSD(T)/cc-pVTZ."""
    from pyscf import cc, scf

    correlated = cc.CCSD(scf.RHF(_mole(molecule, "cc-pvtz")).run()).run()
    return correlated.e_tot + correlated.ccsd_t()


def second_order(molecule: Molecule) -> float:
    """DF-MP2/cc-pVTZ."""
    from pyscf import mp, scf

    return mp.dfmp2.DFMP2(scf.RHF(_mole(molecule, "cc-pvtz")).density_fit().run()).run().e_tot


def broken_symmetry(molecule: Molecule) -> float:
    """UKS B3LYP/def2-SVP, the lower of the closed-shell solution and of one that starts from mixed frontier orbitals."""
    from pyscf import dft

    mole = _mole(molecule, "def2-svp")
    closed = dft.UKS(mole, xc="b3lyp").run()
    alpha, beta = (orbitals.copy() for orbitals in closed.mo_coeff)
    highest = mole.nelec[0] - 1
    for orbitals, sign in ((alpha, 1.0), (beta, -1.0)):
        occupied, empty = closed.mo_coeff[0][:, highest], closed.mo_coeff[0][:, highest + 1]
        orbitals[:, highest] = (occupied + sign * empty) / np.sqrt(2.0)
        orbitals[:, highest + 1] = (occupied - sign * empty) / np.sqrt(2.0)
    mixed = dft.UKS(mole, xc="b3lyp").set(max_cycle=200)
    mixed.kernel(mixed.make_rdm1((alpha, beta), closed.mo_occ))
    return min(float(found.e_tot) for found in (closed, mixed) if found.converged)


def multireference(molecule: Molecule, n_orbitals: int, n_electrons: int, labels: list[str], basis: str) -> float:
    """CASSCF of the electrons in orbitals made of the named atomic ones, and NEVPT2 over it."""
    from pyscf import mcscf, mrpt, scf
    from pyscf.mcscf import avas

    mole = _mole(molecule, basis)
    start = (scf.ROHF if molecule.spin > 1 else scf.RHF)(mole).run(max_cycle=200)
    active = mcscf.CASSCF(start, n_orbitals, n_electrons).set(max_cycle_macro=200)
    spin = (molecule.spin - 1) / 2.0
    active.fix_spin_(ss=spin * (spin + 1.0))
    active.kernel(avas.avas(start, labels, threshold=0.2, openshell_option=3)[2])
    if not active.converged:
        raise RuntimeError(f"CASSCF of {molecule.name} does not converge.")
    return float(active.e_tot + mrpt.NEVPT(active).kernel())


def multireference_diatomic(symbols: str, places: np.ndarray) -> np.ndarray:
    """CASSCF of the valence p shells and NEVPT2 over it, cc-pVTZ, hartree: one state from place to place, NaN where it is lost.

    In D2h; each point starts from orbitals of its own and from those of its neighbour, outwards and inwards from the length of the bond,
    and the lower solution is taken, so that a stretched molecule does not stay in another state.
    """
    from pyscf import gto, mcscf, mrpt, scf

    n_electrons, spin, symmetry, n_inactive = ACTIVE[symbols]
    inactive = {"Ag": n_inactive, "B1u": n_inactive} | (dict.fromkeys(P_SHELLS, 1) if n_inactive > 2 else {})
    active = dict.fromkeys(("Ag", "B1u", *P_SHELLS), 1)
    energies = np.full(len(places), np.nan)
    middle = int(np.argmin(np.abs(places - BOND_LENGTHS[symbols])))
    start: tuple[Any, Any] | None = None
    for side in (range(middle, len(places)), range(middle - 1, -1, -1)):
        before = start
        for number in side:
            molecule = diatomic(symbols, float(places[number]), spin)
            atoms = list(zip(Atoms(molecule.numbers).get_chemical_symbols(), molecule.positions.tolist(), strict=True))
            mole = gto.M(atom=atoms, basis="cc-pvtz", spin=spin - 1, symmetry="D2h", verbose=0)
            field = (scf.ROHF if spin > 1 else scf.RHF)(mole).run(max_cycle=200)
            found = []
            for guess in (None, before) if before else (None,):
                solver = mcscf.CASSCF(field, 6, n_electrons).set(max_cycle_macro=200, conv_tol=1e-9)
                solver.fcisolver.wfnsym = symmetry
                solver.fix_spin_(ss=0.25 * (spin - 1) * (spin + 1))
                solver.kernel(
                    mcscf.sort_mo_by_irrep(solver, field.mo_coeff, active, inactive)
                    if guess is None
                    else mcscf.project_init_guess(solver, *guess)
                )
                if solver.converged:
                    found.append(solver)
            if not found:
                break
            lowest = min(found, key=lambda solver: solver.e_tot)
            alike = [solver for solver in found if solver.e_tot - lowest.e_tot < 1e-6]
            corrections = [float(mrpt.NEVPT(solver).kernel()) for solver in alike]
            if np.ptp(corrections) < UNSTABLE:
                energies[number] = float(lowest.e_tot) + corrections[alike.index(lowest)]
            before = lowest.mo_coeff, mole
            start = start or before
    return energies


METHODS: dict[str, Callable[..., float | np.ndarray]] = {
    "full CI": full_ci_of_two, "CCSD(T)": coupled_cluster, "MP2": second_order, "UKS": broken_symmetry, "NEVPT2": multireference,
    "NEVPT2 from place to place": multireference_diatomic,
}  # fmt: skip


def _dissociation(symbols: str) -> np.ndarray:
    length = BOND_LENGTHS[symbols]
    return np.round(np.concatenate([np.linspace(0.7 * length, 1.5 * length, 15), np.linspace(1.6 * length, 6.0, 10)]), 4)


def curves() -> dict[str, dict[str, Any]]:
    """By test and molecule: places ``x``, the tasks there, and how the method is called."""
    angles, turns = np.arange(90.0, 181.0, 7.5), np.arange(0.0, 61.0, 10.0)
    longer = np.round(np.concatenate([np.arange(-0.3, 1.01, 0.1), np.arange(1.25, 4.01, 0.25)]), 2)
    ethane = of_collection("C2H6", "ethane")
    found = {
        "diatomics/H2": {
            "x": (x := _dissociation("H2")), "tasks": [("full CI", diatomic("H2", float(place))) for place in x],
            "source": "full CI/aug-cc-pVTZ", "ends": True,
        },
        "bend/water": {
            "x": angles, "tasks": [("CCSD(T)", water(float(place))) for place in angles], "source": "CCSD(T)/cc-pVTZ", "mirrored": 180.0,
        },
        "torsion/ethane": {
            "x": turns, "tasks": [("MP2", turned(ethane, 0, 1, float(place))) for place in turns], "source": "DF-MP2/cc-pVTZ, rigid",
            "mirrored": 60.0,
        },
        "stretch/ethane": {
            "x": longer, "tasks": [("UKS", stretched(ethane, 0, 1, float(place))) for place in longer],
            "source": "B3LYP/def2-SVP, broken symmetry, rigid", "ends": True,
        },
        "cyclobutadiene/cyclobutadiene": {
            "x": (t := np.linspace(0.0, 1.0, 5)),
            "tasks": [("NEVPT2", _on_the_way(float(place)), 4, 4, ["C 2pz"], "cc-pvtz") for place in t],
            "source": "CASSCF(4,4)-NEVPT2/cc-pVTZ",
        },
    }  # fmt: skip
    for symbols, (n_electrons, *_) in ACTIVE.items():
        found[f"diatomics/{symbols}"] = {
            "x": (x := _dissociation(symbols)), "tasks": [("NEVPT2 from place to place", symbols, x)],
            "source": f"CASSCF({n_electrons},6)-NEVPT2/cc-pVTZ", "ends": True,
        }  # fmt: skip
    return found


def _on_the_way(part: float) -> Molecule:
    """From the rectangle to the square of nearly the same area."""
    long, short, square = 1.56, 1.335, 1.445
    return cyclobutadiene(long + part * (square - long), short + part * (square - short))


def compute(task: tuple) -> Arrays:
    """The energy of a point, or those of a curve, hartree; one that fails is NaN."""
    method, *arguments = task
    try:
        return {"energy": np.array(METHODS[method](*arguments))}
    except Exception as error:  # the curve then lacks a point
        return {"energy": np.array(np.nan), "failure": np.array(f"{type(error).__name__}: {error}"[:300])}


def as_curve(energies: np.ndarray, of: dict[str, Any]) -> dict[str, Any]:
    """What ships: eV from the end, or from the lowest point."""
    is_there = np.isfinite(energies)
    if not is_there[-1]:
        raise EngineError(f"the last point of {of['source']} failed, from which the others are measured; delete its part and try again.")
    x, y = np.asarray(of["x"])[is_there], EV * energies[is_there]
    found: dict[str, Any] = {"source": f"{of['source']} (PySCF)"}
    if of.get("ends"):
        found["depth"] = float(y[-1] - y.min())
        y = y - y[-1]
    else:
        found["height"] = float(y.max() - y.min())
        y = y - y.min()
    if "mirrored" in of:
        x, y = np.concatenate([x, 2.0 * of["mirrored"] - x[-2::-1]]), np.concatenate([y, y[-2::-1]])
    return {"x": np.round(x, 4).tolist(), "y": np.round(y, 5).tolist(), **{key: _rounded(value) for key, value in found.items()}}


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__.split("\n")[0])


@app.command("curves")
def curves_command(
    names: Annotated[list[str] | None, typer.Argument(help="Of curves, such as bend/water; by default all.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Points computed at a time.")] = 2,
    folder: Annotated[Path, typer.Option(help="Where finished points are kept.")] = Path("runs/physics_references.parts"),
) -> None:
    """Compute reference curves and write them to references.json, beside those that are there."""
    import pyscf

    known, parts = curves(), Parts(folder, {"pyscf": pyscf.__version__})
    if unknown := sorted(set(names or ()) - set(known)):
        raise InputError(f"there is no curve {unknown[0]!r}; there are {', '.join(known)}.")
    chosen = {name: known[name] for name in (names or known)}
    names_of = {
        name: [f"{name.replace('/', '_')}_{hashlib.sha256(repr(task).encode()).hexdigest()[:12]}" for task in of["tasks"]]
        for name, of in chosen.items()
    }
    tasks = {part: task for name, of in chosen.items() for part, task in zip(names_of[name], of["tasks"], strict=True)}
    run_all(tasks, compute, parts, workers, "points")
    path = DATA / "references.json"
    record = json.loads(path.read_text()) if path.is_file() else {"curves": {}}
    for name, of in chosen.items():
        found = [parts[part] for part in names_of[name]]
        for number, point in enumerate(found):
            if "failure" in point:
                typer.echo(f"{name}, point {number}: {point['failure']}")
        record["curves"][name] = as_curve(np.concatenate([np.atleast_1d(point["energy"]) for point in found]), of)
        summary = {key: value for key, value in record["curves"][name].items() if key not in ("x", "y")}
        typer.echo(f"{name}: {summary}")
    record["provenance"] = {
        "command": "python -m datasets.physics_references curves", "pyscf": pyscf.__version__, "date": datetime.date.today().isoformat(),
        "units": "x: angstrom or degree, of the cyclobutadiene the part of the way to the square; y, depth, height: eV",
    }  # fmt: skip
    write_text(path, json.dumps(record, indent=1) + "\n")


SMILES = {"biphenyl": "c1ccc(-c2ccccc2)cc1", "2-phenylpyridine": "c1ccc(-c2ccccn2)cc1", "uracil": "O=c1cc[nH]c(=O)[nH]1"}


@app.command("geometries")
def geometries_command(names: Annotated[list[str] | None, typer.Argument(help="By default all.")] = None) -> None:
    """Relax the molecules whose geometries ship, with GFN2-xTB."""
    for name in names or (*SMILES, "cosan"):
        solute = Solute(name, *cosan_start(), -1) if name == "cosan" else solute_from_smiles(SMILES[name], name)
        found = relaxed(solute, XTBEngine(), n_iterations=300)[0]
        positions = symmetric_ligands(found.positions) if name == "cosan" else flat(Molecule(name, found.atomic_numbers, found.positions))
        atoms = Atoms(found.atomic_numbers, np.round(positions, 6), info={"charge": solute.charge, "method": "GFN2-xTB, made symmetric"})
        with whole_file(DATA / f"{name}.xyz") as partial:
            atoms.write(partial, format="extxyz")
        typer.echo(f"{DATA / f'{name}.xyz'}: {len(atoms)} atoms")


def flat(molecule: Molecule) -> np.ndarray:
    """Planar, as ``torsion`` starts: a biaryl's rings turned into one plane, and what is left of their own twists taken out."""
    for first, second in heavy_bonds(molecule, inner=True):
        if side_of_bond(molecule, first, second) is not None and molecule.name != "uracil":
            twists = np.arange(0.0, 180.0, 0.05)
            thickness = [np.linalg.svd(_centred(turned(molecule, first, second, twist)))[1][2] for twist in twists]
            molecule = turned(molecule, first, second, float(twists[np.argmin(thickness)]))
    centred = _centred(molecule)
    axes = np.linalg.svd(centred)[2]
    return centred @ axes.T * [1.0, 1.0, 0.0]


def _centred(molecule: Molecule) -> np.ndarray:
    return molecule.positions - molecule.positions.mean(axis=0)


def symmetric_ligands(positions: np.ndarray) -> np.ndarray:
    """Both ligands of COSAN as one: the first, averaged with its mirror image, and a copy of it turned upside down."""
    ligand = positions[1:23] - positions[0]
    axis = ligand[:11].mean(axis=0)
    axis /= np.linalg.norm(axis)
    middle = ligand[:2].mean(axis=0)
    across = np.cross(axis, middle)
    across /= np.linalg.norm(across)
    frame = np.stack([np.cross(across, axis), across, axis])
    upright = ligand @ frame.T
    image = upright * [1.0, -1.0, 1.0]
    upright = 0.5 * (upright + image[np.argmin(cdist(upright, image), axis=1)])
    return np.concatenate([np.zeros((1, 3)), upright, upright * [1.0, -1.0, -1.0]])


def cosan_start() -> tuple[np.ndarray, np.ndarray]:
    """Two icosahedra of edge 1.78 angstrom that share the cobalt as a corner; of each, two neighbours of the cobalt are carbon."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    corners = np.array([[0.0, s, t * golden] for s in (-1, 1) for t in (-1, 1)])
    corners = np.concatenate([np.roll(corners, shift, axis=1) for shift in range(3)]) * 1.78 / 2.0
    first = corners[0]
    axis = first / np.linalg.norm(first)
    upright = Rotation.align_vectors([[0.0, 0.0, 1.0]], [-axis])[0]
    cage = upright.apply(corners - first)  # the shared corner at 0, the others above
    order = np.argsort(np.linalg.norm(cage, axis=1), kind="stable")[1:]
    cage = cage[order]
    around = np.argsort(np.arctan2(cage[:5, 1], cage[:5, 0]))
    cage[:5] = cage[:5][around]
    outward = cage - upright.apply(-first)  # from the middle of the cage
    hydrogens = cage + 1.15 * outward / np.linalg.norm(outward, axis=1)[:, None]
    ligand = np.concatenate([cage, hydrogens])
    other = ligand * [1.0, -1.0, -1.0]
    elements = [6, 6, *[5] * 9, *[1] * 11]
    return np.array([27, *elements, *elements]), np.concatenate([np.zeros((1, 3)), ligand, other])


if __name__ == "__main__":
    run_command(app)
