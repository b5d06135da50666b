# FloeLens. `make help` lists what there is to do.
#
# Variables: PYTHON (QGIS's Python), TORCH_INDEX (where torch comes from), SAR and MWR (files for
# `make demo`), TESTS (what `make test` runs), WORKERS (in how many processes; 0 for this one alone),
# KILLS (how many runs `make test-kills` kills), SUITE (the Debian of `make compat`), QGIS_PROFILE (the profile
# that `make link` links into), FOLDER and
# AGAINST (of `make fingerprint`: where results go, and an earlier folder that they must equal), FOR and SYSTEM (of
# `make bundle`: version of QGIS's Python, and pip's name of the machine it runs on).

PYTHON ?= /usr/bin/python3
TORCH_INDEX ?=
SAR ?=
MWR ?=
TESTS ?= tests
WORKERS ?= auto
KILLS ?= 200
SUITE ?= trixie
FOR ?=
SYSTEM ?=
FOLDER ?= build/fingerprint
AGAINST ?=
QGIS_PROFILE ?= $(HOME)/.local/share/QGIS/QGIS3/profiles/default

READY := .venv/.ready
VENV := .venv/bin/python
LINK := build/plugins/floelens

COVERAGE := COVERAGE_FILE=$(CURDIR)/build/coverage/data FLOELENS_ROOT=$(CURDIR)

LINTERS := PYTHONPATH=$(CURDIR)/build/lint/libraries $(VENV)

# Told to distribute tests, pytest-qgis starts no QGIS in the process that would only hand them out.
PARALLEL := $(if $(filter-out 0,$(WORKERS)),-n $(WORKERS) --dist loadfile)

export PYTHON TORCH_INDEX

.DEFAULT_GOAL := help
.PHONY: help demo test test-large test-memory test-kills test-references test-qt6 fuzz coverage fingerprint lint bench bench-real compat env link package bundle train reference docs clean

help: ## list these targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## /\1\t/' | expand -t 14

demo: $(READY) $(LINK) ## explain a simulated scene, or yours: make demo SAR=sar.tif MWR=mwr.tif
	@$(VENV) tools/demo.py $(if $(SAR),--sar '$(SAR)') $(if $(MWR),--mwr '$(MWR)')

test: $(READY) $(LINK) ## run the tests (minutes): make test TESTS=tests/test_house.py for some
	OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen $(VENV) -m pytest -m "not slow" $(PARALLEL) $(TESTS)

test-large: $(READY) $(LINK) ## run the tests on large scenes (long)
	QT_QPA_PLATFORM=offscreen $(VENV) -m pytest -m "slow and not fuzz" $(TESTS)

test-memory: $(READY) $(LINK) ## run 500 tools in one QGIS, half of them failing: it may not grow (long)
	QT_QPA_PLATFORM=offscreen $(VENV) -m pytest -m slow -s tests/plugin/algorithms/test_staying_alive.py

test-kills: $(READY) $(LINK) ## kill 200 runs of all tools at random moments (long): make test-kills KILLS=1000
	QT_QPA_PLATFORM=offscreen FLOELENS_KILLS=$(KILLS) $(VENV) -m pytest -m slow -s tests/plugin/kills

fuzz: $(READY) $(LINK) ## read tens of thousands of damaged files (an hour); none may end the process
	QT_QPA_PLATFORM=offscreen $(VENV) -m pytest -m fuzz $(TESTS)

test-references: $(READY) $(LINK) build/references ## compare readers with satpy, CAMs with pytorch-grad-cam, sanity measures with Quantus
	PYTHONPATH=$(CURDIR)/build/references QT_QPA_PLATFORM=offscreen $(VENV) -m pytest tests/references

test-qt6: $(READY) $(LINK) build/qt6 ## try the windows under Qt 6 (PyQt6, with stand-ins for QGIS)
	QT_QPA_PLATFORM=offscreen $(VENV) -m pytest tests/plugin/gui/test_qt6.py

build/qt6: tests/requirements-qt6.txt
	$(VENV) -m pip install --quiet --no-deps --upgrade --target $@ -r $<
	@touch $@

build/references: tests/requirements-references.txt
	$(VENV) -m pip install --quiet --no-deps --upgrade --target $@ -r $<
	@touch $@

coverage: $(READY) $(LINK) build/coverage/libraries ## run the tests and print their branch coverage (long); fails under 92 %
	rm -f build/coverage/data*
	$(COVERAGE) PYTHONPATH=$(CURDIR)/build/coverage/libraries COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml \
		OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen \
		$(VENV) -m pytest -m "not slow" $(PARALLEL) $(TESTS)
	$(COVERAGE) PYTHONPATH=$(CURDIR)/build/coverage/libraries $(VENV) -m coverage combine --quiet
	$(COVERAGE) PYTHONPATH=$(CURDIR)/build/coverage/libraries $(VENV) -m coverage report

# Python imports sitecustomize in every process: so those that tests start are measured too.
build/coverage/libraries: tests/requirements-coverage.txt
	$(VENV) -m pip install --quiet --no-deps --upgrade --target $@ -r $<
	@echo 'import coverage; coverage.process_startup()' > $@/sitecustomize.py
	@touch $@

fingerprint: $(READY) $(LINK) ## write what all jobs give on small scenes to FOLDER, and compare with AGAINST (minutes)
	OMP_NUM_THREADS=1 $(VENV) tools/fingerprint.py run $(FOLDER) $(if $(AGAINST),--like $(AGAINST))
	$(if $(AGAINST),$(VENV) tools/fingerprint.py compare $(AGAINST) $(FOLDER))

lint: $(READY) $(LINK) build/lint/libraries ## check style (ruff), types (mypy), Qt 6 (flake8-qgis), and scan the zip (Bandit, detect-secrets)
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(LINTERS) -m flake8 --isolated --select QGS1,QGS4 --extend-ignore QGS105 plugin/algorithms plugin/gui plugin/main.py plugin/provider.py __init__.py
	$(LINTERS) tools/scan.py
	cd build/plugins && ../../$(VENV) -m mypy --config-file ../../pyproject.toml \
		--cache-dir ../../.mypy_cache -p floelens.plugin.ground -p floelens.plugin.networks \
		-p floelens.plugin.core -p floelens.plugin.io -p floelens.plugin.report -p floelens.plugin.jobs \
		-p floelens.plugin.algorithms -p floelens.plugin.gui -m floelens.plugin.main -m floelens.plugin.provider

build/lint/libraries: tests/requirements-lint.txt
	$(VENV) -m pip install --quiet --no-deps --upgrade --target $@ -r $<
	@touch $@

bench: $(READY) $(LINK) build/peers ## measure speed and memory on this machine, beside other libraries
	$(VENV) bench/speed.py
	$(VENV) bench/zscores.py
	$(VENV) bench/peers.py
	$(VENV) bench/imported.py

build/peers: bench/requirements.txt
	$(VENV) -m pip install --quiet --no-deps --upgrade --target $@ -r $<
	@touch $@

bench-real: $(READY) $(LINK) ## map a real scene and compare with its chart (needs ../shared/data)
	$(VENV) bench/real_scene.py

compat: ## run the tests in another Debian with its QGIS (as root; minutes): make compat SUITE=trixie
	@SUITE='$(SUITE)' TESTS='$(TESTS)' tools/compat.sh

env: $(READY) ## install what is missing: QGIS by apt, the Python libraries into .venv

$(READY): requirements-environment.txt requirements-dev.txt tools/environment.sh
	@tools/environment.sh
	@touch $@

# The checkout under the name that QGIS and Python are to see, whatever its folder is called.
$(LINK):
	@mkdir -p $(@D)
	@ln -sfn ../.. $@

link: $(READY) ## put this checkout into your QGIS as a plugin (a link)
	@$(VENV) tools/link.py '$(QGIS_PROFILE)'

package: ## make dist/floelens-<version>.zip for "Install from ZIP" in QGIS
	@$(PYTHON) tools/package.py

bundle: ## make a folder for QGIS without a network: make bundle FOR=3.12 SYSTEM=win_amd64
	@$(PYTHON) tools/bundle.py $(if $(FOR),--python '$(FOR)') $(if $(SYSTEM),--system '$(SYSTEM)')

train: $(READY) $(LINK) ## train the demonstration models again (long)
	cd build/plugins && OPENBLAS_NUM_THREADS=1 ../../$(VENV) -m floelens.plugin.jobs.packages.train

reference: $(READY) $(LINK) ## make the models' reference of contributions again (minutes)
	cd build/plugins && OPENBLAS_NUM_THREADS=1 ../../$(VENV) -m floelens.plugin.jobs.packages.reference

docs: $(READY) $(LINK) build/docs/libraries ## build the documentation site in build/docs/site; a warning is an error
	@cd build/plugins && PYTHONPATH=$(CURDIR)/build/docs/libraries ../../$(VENV) -m floelens.tools.docs_site

# Libraries of a single target lie in a folder of their own, beside .venv.
build/docs/libraries: requirements-docs.txt
	$(VENV) -m pip install --quiet --no-deps --upgrade --target $@ -r $<
	@touch $@

clean: ## delete what was built (build, dist, caches); .venv stays
	rm -rf build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache .qgis-settings
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
