"""The input that the psi4 program runs (``psi4 --skip-preprocessor -i psi4_input.py``); it never runs in our own Python.

Each line of standard input is one calculation in JSON; each is answered by one line of JSON on the pipe that AMP_TF_PSI4_ANSWERS names.
Newer releases of psi4 take the point charges as an argument, older ones (1.3) as an option.
"""

import json
import os
import shutil
import sys

import numpy as np
import psi4


def run(job):
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
            "maxiter": job["max_iterations"],
        }
    )
    charges = [[charge, *point] for charge, point in zip(job["mm_charges"], job["mm_positions_bohr"])]  # noqa: B905
    further = {}
    if hasattr(psi4, "QMMMbohr"):
        further = {"external_potentials": charges} if charges else {}
    else:
        field = psi4.QMMM()
        for charge in charges:
            field.extern.addCharge(*charge)
        psi4.core.set_global_option_python("EXTERN", field.extern if charges else None)
    if job["gradient"]:
        gradient, wavefunction = psi4.gradient("mp2", molecule=molecule, return_wfn=True, **further)
        return {"energy_hartree": wavefunction.energy(), "gradient_hartree_per_bohr": np.asarray(gradient).tolist()}
    return {"energy_hartree": psi4.energy("mp2", molecule=molecule, **further)}


with os.fdopen(int(os.environ["AMP_TF_PSI4_ANSWERS"]), "w") as answers:
    for line in sys.stdin:
        try:
            answer = run(json.loads(line))
        except Exception as error:  # whatever psi4 raises belongs to this calculation alone
            answer = {"error": str(error) or type(error).__name__}
        psi4.core.clean()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
shutil.rmtree(os.getcwd(), ignore_errors=True)  # where the process that asked was killed nobody else removes it
