"""The input that the psi4 program runs (``psi4 --skip-preprocessor -i psi4_input.py``); it never runs in our own Python.

The calculation comes as JSON in the file that AMP_TF_PSI4_JOB names; the result goes beside it as ``result.json``.
"""

import json
import os

import psi4

job_path = os.environ["AMP_TF_PSI4_JOB"]
with open(job_path) as file:
    job = json.load(file)

atoms = "\n".join("{} {:.14f} {:.14f} {:.14f}".format(symbol, *point) for symbol, point in zip(job["symbols"], job["positions_bohr"]))  # noqa: B905 - the Python of psi4 may be older
molecule = psi4.geometry("{} 1\n{}\nunits bohr\nsymmetry c1\nno_com\nno_reorient\n".format(job["charge"], atoms))
psi4.set_options(
    {
        "basis": job["basis"],
        "df_basis_scf": job["basis"] + "-jkfit",
        "df_basis_mp2": job["basis"] + "-ri",
        "scf_type": "df",
        "mp2_type": "df",
        "freeze_core": False,
        "e_convergence": 1e-11,
        "d_convergence": 1e-9,
    }
)
energy = psi4.energy("mp2", molecule=molecule)
with open(os.path.join(os.path.dirname(job_path), "result.json"), "w") as file:
    json.dump({"energy_hartree": energy}, file)
