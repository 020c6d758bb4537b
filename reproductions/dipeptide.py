"""Alanine dipeptide in TIP3P water with the published weights of AMP-BMS, through OpenMM.

``make reproduce-dipeptide OPTIONS="--weights MIN_state_dict"``.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import mdtraj
import numpy as np
import typer
from rdkit import Chem

from amp_tf.errors import InputError
from amp_tf.files import sha256_of, whole_file, write_text
from amp_tf.models.amp_bms_weights import import_weights
from amp_tf.simulation.dynamics import Dynamics, Run
from amp_tf.simulation.observables import read_trajectory
from amp_tf.simulation.scene import PreparedSystem
from amp_tf.simulation.solutes import solute_from_smiles
from amp_tf.simulation.water_box import NM, import_openmm
from common.results import row, write_result
from figures.dipeptide import draw
from reproductions.dynamics_table import dipeptide_table
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS

SMILES, MAPPED = "CC(=O)N[C@@H](C)C(=O)NC", "[CH3][C](=O)[NH][CH]([CH3])[C](=O)[NH][CH3]"
"""The molecule, and a pattern whose atoms stand in the order of its residues: acetyl, alanine, methylamide."""

RESIDUES = {"ACE": ("CH3", "C", "O"), "ALA": ("N", "CA", "CB", "C", "O"), "NME": ("N", "C")}
"""Names of the heavy atoms, as in the pattern."""

PICOSECONDS = {"smoke": 0.005, "laptop": 20.0}
MM_CUTOFF, ZONE = 10.0, 12.0
"""Of AMP-BMS with TIP3P water, and of the molecules that it is given, which must be more, angstrom."""

BOX = 36.0
"""Edge of the box, angstrom."""

EQUILIBRATION = {"smoke": 20, "laptop": 10_000}
"""Classical steps of 1 fs at 300 K and 1 bar."""

SHORT = {"smoke": {"relaxation": 0.002, "interval": 2}, "laptop": {"relaxation": 5.0}}


def build(folder: Path, n_steps: int) -> tuple[Path, Path]:
    """``dipeptide.pdb`` and ``system.xml``: AMBER's ff14SB and TIP3P, after so many classical steps."""
    openmm = import_openmm()
    app = openmm.app
    structure, system_file = folder / "dipeptide.pdb", folder / "system.xml"
    if structure.is_file() and system_file.is_file():
        return structure, system_file
    folder.mkdir(parents=True, exist_ok=True)
    topology, positions = _molecule(app)
    force_field = app.ForceField("amber14/protein.ff14SB.xml", "amber14/tip3p.xml")
    modeller = app.Modeller(topology, positions / NM)
    modeller.addSolvent(force_field, model="tip3p", boxSize=openmm.Vec3(*[BOX / NM] * 3))
    settings = {"nonbondedMethod": app.PME, "nonbondedCutoff": 1.0, "rigidWater": True, "ewaldErrorTolerance": 1e-5}
    system = force_field.createSystem(modeller.topology, removeCMMotion=False, **settings)
    equilibrated, box = _equilibrated(openmm, system, modeller, n_steps)
    modeller.topology.setPeriodicBoxVectors(box)
    system.setDefaultPeriodicBoxVectors(*box)
    with whole_file(structure) as partial, open(partial, "w") as file:
        app.PDBFile.writeFile(modeller.topology, equilibrated, file)
    write_text(system_file, openmm.XmlSerializer.serialize(system))
    return structure, system_file


def _molecule(app) -> tuple[Any, np.ndarray]:
    """OpenMM's topology, three residues, and positions [n_atoms, 3], angstrom."""
    solute = solute_from_smiles(SMILES, "alanine dipeptide")
    molecule = Chem.AddHs(Chem.MolFromSmiles(SMILES))
    heavy = list(molecule.GetSubstructMatch(Chem.MolFromSmarts(MAPPED)))
    topology, order = app.Topology(), []
    chain, added = topology.addChain(), {}
    for residue_name, names in RESIDUES.items():
        residue = topology.addResidue(residue_name, chain)
        for name in names:
            number = heavy[len([atom for atom in order if molecule.GetAtomWithIdx(atom).GetAtomicNum() > 1])]
            hydrogens = [atom.GetIdx() for atom in molecule.GetAtomWithIdx(number).GetNeighbors() if atom.GetAtomicNum() == 1]
            for atom in [number, *hydrogens]:
                element = app.Element.getByAtomicNumber(molecule.GetAtomWithIdx(atom).GetAtomicNum())
                label = name if atom == number else f"H{len(order)}"
                added[atom] = topology.addAtom(label, element, residue)
                order.append(atom)
    for bond in molecule.GetBonds():
        topology.addBond(added[bond.GetBeginAtomIdx()], added[bond.GetEndAtomIdx()])
    return topology, solute.positions[order]


def _equilibrated(openmm, system, modeller, n_steps: int) -> tuple[Any, Any]:
    """Positions and box after classical dynamics at 300 K and 1 bar."""
    copy = openmm.XmlSerializer.clone(system)
    barostat = openmm.MonteCarloBarostat(1.0, 300.0)
    barostat.setRandomNumberSeed(1)
    copy.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.001)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(copy, integrator, openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(modeller.positions)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=200)
    context.setVelocitiesToTemperature(300.0, 1)
    integrator.step(n_steps)
    state = context.getState(positions=True, enforcePeriodicBox=True)
    return state.getPositions(), state.getPeriodicBoxVectors()


def reproduce(preset: str, weights: Path, results: Path = RESULTS, runs: Path = RUNS) -> Path:
    """Build, import the weights, simulate NVT and NVE, measure, and write the result file; all go on where they were killed.

    Raises:
        InputError: for a preset that there is not.
        DataFileError: if the weights cannot be read.
    """
    if preset not in PICOSECONDS:
        raise InputError(f"there is no PRESET={preset} of the dipeptide; choose {' or '.join(PICOSECONDS)}.")
    started, folder = time.perf_counter(), runs / "dipeptide" / preset / sha256_of(weights)[:8]
    structure, system = build(folder, EQUILIBRATION[preset])
    potential = folder / "amp_bms.keras"
    if not potential.is_file():
        import_weights(weights, mode="md", mm_cutoff=MM_CUTOFF).save(potential)
    setup = PreparedSystem(structure, system)
    rows, angles, energies = [], {}, {}
    for ensemble in ("nvt", "nve"):
        dynamics = Dynamics(ensemble=ensemble, picoseconds=PICOSECONDS[preset], zone=ZONE, **SHORT[preset])
        run = Run(folder / ensemble, [potential], setup, dynamics, xla=preset != "smoke")
        summary = run.run()
        who = {"ensemble": ensemble, "picoseconds": summary["picoseconds"]}
        angles[ensemble] = _angles(run, structure)
        table = np.genfromtxt(run.energies, delimiter=",", names=True)
        total = table["total_energy_kj_per_mol"] - table["total_energy_kj_per_mol"][0]
        energies[ensemble] = {"times": np.round(table["time_ps"], 4).tolist(), "energies": np.round(total, 3).tolist()}
        drift = summary["total_energy_drift_kj_per_mol_per_ps"] / summary["degrees_of_freedom"]
        rows += [
            row("whole", "", int(summary["whole"]), None, **who),
            row("solute_temperature", "K", summary["solute_temperature_k"], None, **who),
            row("surroundings_temperature", "K", summary["surroundings_temperature_k"], None, **who),
        ]
        if ensemble == "nve":
            rows.append(row("drift", "kJ/mol/ps a degree of freedom", drift, None, **who))
            rows.append(row("rms", "kJ/mol", summary["total_energy_rms_about_the_line_kj_per_mol"], None, **who))
    return write_result(
        "dipeptide", preset, rows, started, results, seeds=[0], data={"file": weights.name, "sha256": sha256_of(weights)}, angles=angles,
        energies=energies,
        differs="Beyond the paper: AMP-BMS (doi 10.1021/jacs.6c00217); Lennard-Jones terms of ff14SB between molecule and water.",
    )  # fmt: skip


def _angles(run: Run, structure: Path) -> dict[str, list[float]]:
    """φ and ψ of every frame, degrees."""
    frames = mdtraj.join(read_trajectory(run.trajectory, import_openmm().app.PDBFile(str(structure)).topology))
    radians = {"phi": mdtraj.compute_phi(frames)[1], "psi": mdtraj.compute_psi(frames)[1]}
    return {name: np.round(np.degrees(values[:, 0]), 1).tolist() for name, values in radians.items()}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    weights: Annotated[Path, typer.Option(help="The published weights, the PyTorch file MIN_state_dict, which do not ship.")],
    preset: Annotated[str, typer.Option(help="smoke or laptop.")] = "laptop",
) -> None:
    """Simulate alanine dipeptide with AMP-BMS and draw its angles."""
    run_reproduction(preset, lambda preset: reproduce(preset, weights), draw, dipeptide_table)


if __name__ == "__main__":
    app()
