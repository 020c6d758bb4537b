#!/usr/bin/env python3
"""Stands for psi4 in a test: answers each line with the charge of its calculation, after a moment."""

import json
import os
import sys
import time

with os.fdopen(int(os.environ["AMP_TF_PSI4_ANSWERS"]), "w") as answers:
    for line in sys.stdin:
        charge = json.loads(line)["charge"]
        time.sleep(0.01 * (charge % 3))
        print(json.dumps({"charge": charge}), file=answers, flush=True)
