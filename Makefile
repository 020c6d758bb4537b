# Every target makes the virtual environment .venv on first use; PYTHON chooses the interpreter, PRESET the size of a reproduction.
PYTHON ?= python3
OLDEST_PYTHON ?= $(shell for python in python3.10 python3.11 python3; do $$python -c '' 2>/dev/null && command -v $$python && break; done)
PRESET ?= laptop
PYTEST_OPTIONS ?=
REPRODUCTIONS := $(subst _,-,$(basename $(notdir $(wildcard $(addprefix reproductions/,figure*.py table*.py orders.py dynamics.py dipeptide.py \
  interfaces.py amp_bms.py physnet.py physnet_[tsmq]*.py)))))
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help install lint format test test-oldest check-peers reproduce-study docs fuzz lock benchmark dataset-water-dimer dataset-water-clusters dataset-uracil dataset-retinoic-acid \
  dataset-sam-cysteine dataset-qm9 readme ship-weights clean

help:
	@echo "make reproduce-figure2   train, evaluate, draw and print Figure 2 (likewise -figure5, -figure6; PRESET=smoke, laptop or paper)"
	@echo "make reproduce-table1    evaluate the potentials of Table 1 that ship on frames that ship (likewise -table2), and print the table;"
	@echo "                         RETRAIN=1 builds the data where they are missing, trains and draws the figure"
	@echo "make reproduce-figure3   the same for Figure 3 (likewise -table7, -table8), from weights that ship; RETRAIN=1 trains anew"
	@echo "make reproduce-table3    the same for properties of QM9; RETRAIN=1 trains on the file that make dataset-qm9 makes,"
	@echo "                         OPTIONS=\"--targets HOMO,mu --data qm9.h5\" on another"
	@echo "make reproduce-table4    what models cost, relative to the paper's (likewise -table5, -table6, -figure4); on a quiet machine"
	@echo "make reproduce-orders    AMP(2) against AMP(3) on the clusters of Figure 3, three seeds each, with two forms of polarization"
	@echo "make reproduce-dynamics  whether a potential of uracil is fit for dynamics: bonds, gas, water, energy (hours; RETRAIN=1 trains it; PRESET=smoke)"
	@echo "make reproduce-dipeptide OPTIONS=\"--weights MIN_state_dict\"   alanine dipeptide with the published weights of AMP-BMS, in OpenMM"
	@echo "make reproduce-interfaces   uracil through ASE, OpenMM and amp-tf md: forces against differences, copies, XML, checkpoints (minutes)"
	@echo "make reproduce-amp-bms OPTIONS=\"--weights MIN_state_dict --golden golden.npz\"   AMP-BMS beside the numbers of its authors' program"
	@echo "make reproduce-physnet   PhysNet's paper: tails of ions, a reaction, and with OPTIONS=\"--rmd17 FOLDER --qm9 FILE\" MD17 and QM9"
	@echo "                         (each alone: -physnet-tails, -physnet-sn2, -physnet-md17, -physnet-qm9)"
	@echo "make check-peers         amp-tf check-physics of ANI, SevenNet, GFN2-xTB and ours, each in an environment of its own (half an hour)"
	@echo "make reproduce-study     what that found, beside the words of the study of ML potentials"
	@echo "make test                lint and tests (PYTEST_OPTIONS=--run-slow for all)"
	@echo "make docs                the documentation, runs/docs/index.html; its tutorials run as it is built"
	@echo "make test-oldest         the tests of mathematics, models and data with the lowest versions that setup.cfg allows"
	@echo "make fuzz                damaged files, bad input and killed runs by the hundreds, in minutes"
	@echo "make dataset-water-dimer build the water dimer's reference data anew (ENGINE=pyscf or psi4)"
	@echo "make dataset-water-clusters   build the water clusters' minima and reference data anew (ENGINE=psi4 or pyscf)"
	@echo "make dataset-uracil      QM/MM data of uracil in water (likewise -retinoic-acid, -sam-cysteine; PRESET and ENGINE=xtb or pyscf)"
	@echo "make dataset-qm9         QM9, fetched and converted for Table 3"
	@echo "make clean               remove environments and what is built; runs/, with its data and trainings, stays"
	@echo "make benchmark           time of energies, gradients and training steps beside the matrix-product limit"
	@echo "make install             the virtual environment .venv alone"

install: $(INSTALLED)

$(INSTALLED): requirements.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { echo "error: amp_tf needs Python 3.10 to 3.13; choose one with make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

check-peers: $(INSTALLED)
	$(BIN)/python -m reproductions.peers $(OPTIONS)

reproduce-study: $(INSTALLED)
	$(BIN)/python -m reproductions.study $(OPTIONS)

reproduce-%: $(INSTALLED)
	@test -n "$(filter $*,$(REPRODUCTIONS))" || { echo "error: there is no reproduction '$*'; there are: $(REPRODUCTIONS)"; exit 1; }
	$(BIN)/python -m reproductions.$(subst -,_,$*) --preset $(PRESET) $(OPTIONS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_OPTIONS)

docs: $(INSTALLED)
	$(BIN)/sphinx-build -W --keep-going -q -b html -j 12 docs runs/docs
	@echo "open runs/docs/index.html"

# warnings there are those of old libraries about newer ones
test-oldest: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv venv --quiet --clear --python $(OLDEST_PYTHON) .venv-oldest
	$(BIN)/uv pip install --quiet --python .venv-oldest/bin/python --resolution lowest-direct --editable '.[reference,dev]'
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile -W ignore::DeprecationWarning tests/test_units.py tests/ops tests/layers tests/models tests/data $(PYTEST_OPTIONS)

fuzz: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile --run-slow tests/fuzz $(PYTEST_OPTIONS)

benchmark: $(INSTALLED)
	$(BIN)/python -m benchmarks.step_time
	$(BIN)/python -m benchmarks.embedding
	$(BIN)/python -m benchmarks.qmmm
	$(BIN)/python -m benchmarks.streaming
	$(BIN)/python -m benchmarks.far_charges
	$(BIN)/python -m benchmarks.physnet

dataset-water-dimer dataset-water-clusters: $(INSTALLED)
	$(BIN)/python -m datasets.$(subst -,_,$(@:dataset-%=%)) $(if $(ENGINE),--engine $(ENGINE)) $(OPTIONS)

dataset-qm9: $(INSTALLED)
	$(BIN)/python -m datasets.qm9 $(OPTIONS)

dataset-uracil dataset-retinoic-acid dataset-sam-cysteine: $(INSTALLED)
	$(BIN)/python -m datasets.qmmm_solutes sample $(@:dataset-%=%) --preset $(PRESET) $(if $(ENGINE),--engine $(ENGINE)) $(OPTIONS)

readme: $(INSTALLED)
	$(BIN)/python -m reproductions.report

ship-weights: $(INSTALLED)
	$(BIN)/python -m reproductions.water_clusters
	$(BIN)/python -m reproductions.solutes
	$(BIN)/python -m reproductions.qm9

lock: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --universal --python-version 3.10 --extra reference --extra cluster --extra tensorboard --extra docs --extra dev --no-header --no-annotate --output-file requirements.lock setup.cfg

# runs/, hours of data and training, stays
clean:
	rm -rf .venv .venv-oldest build dist *.egg-info .pytest_cache .ruff_cache runs/docs
