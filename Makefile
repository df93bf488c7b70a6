# Everything runs in the project's own environment, .venv, which the first command makes and later ones keep current.
.DEFAULT_GOAL := help
.PHONY: help html epub test check serve live chapter slides claims calibrate mutants linkcheck release-check benchmark benchmark-peers clean distclean

RANGE  := sys.version_info[:2] in [(3, n) for n in range(11, 15)] and sys.implementation.name == "cpython"
FIND    = for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
            $$p -c 'import sys; sys.exit(not ($(RANGE)))' 2>/dev/null && { echo $$p; break; }; done
PYTHON ?= $(shell $(FIND))
IN_ENV := .venv/bin/python -m
PAGE    = $(if $(C),--page "$(C)")
SEEDS  ?= 1000..1009
export PYTHONPATH := $(CURDIR)/code

# $(call env,GROUPS): make or complete .venv; silent and quick when there is nothing to do
define env
	@p="$(PYTHON)"; command -v "$$p" >/dev/null || { echo "make: $${p:-CPython 3.11 to 3.14} is not on the PATH:" \
	  "install one (python.org, apt, brew, pyenv) or name it: make PYTHON=/path/to/python3.13" >&2; exit 2; }; \
	"$$p" code/bookbuild/bootstrap.py $(1)
endef

# other libraries, and the rows of the benchmark table that are theirs
PEERS   = test -x .venv-peers/bin/python || { $(PYTHON) -m venv .venv-peers && \
            .venv-peers/bin/python -m pip install -q -r benchmarks/peers.txt '.[mujoco]'; }
PEER    = $(filter sb3_% sbx_% rlox_%,$(A))

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

html: ## execute what has changed and build the site at _build/html (TORCH=cpu: CPU-only PyTorch)
	$(call env,book)
	@$(IN_ENV) bookbuild html

epub: html ## build or reuse the site, and make an e-book of it: _build/deep-rl-workshop.epub
	@$(IN_ENV) bookbuild epub

test: html ## build or reuse the site, then run every test that has not passed yet (ARGS="-k gae" narrows)
	$(call env,book test)
	@$(if $(ARGS),OMP_NUM_THREADS=1 $(IN_ENV) pytest -q -n auto $(ARGS),$(IN_ENV) bookbuild test && $(IN_ENV) mutation)

check: ## lint of code and pages, and the fast tests
	$(call env,book test)
	@$(IN_ENV) ruff check -q . && $(IN_ENV) ruff format -q --check . && $(IN_ENV) pagelint
	@$(IN_ENV) bookbuild test --fast

serve: ## serve the built site and print its address
	$(call env,book)
	@$(IN_ENV) bookbuild serve

live: ## serve the site and rebuild it whenever a file is saved
	$(call env,book dev)
	@$(IN_ENV) bookbuild live

chapter: ## build one page: make chapter C=algorithms/vpg
	@test -n "$(C)" || { echo "make: which page? make chapter C=algorithms/vpg" >&2; exit 2; }
	$(call env,book)
	@$(IN_ENV) bookbuild chapter "$(C)"

slides: html ## slides of the workshop's talks, from the built book, at _build/slides
	$(call env,book)
	@$(IN_ENV) slides

claims: ## how often each claim holds on other seeds: make claims SEEDS=1000..1009 [C=algorithms/vpg]
	$(call env,book)
	@$(IN_ENV) bookbuild claims --seeds "$(SEEDS)" $(PAGE)

calibrate: ## the same, and save the spread that the bounds are judged by
	$(call env,book)
	@$(IN_ENV) bookbuild claims --seeds "$(SEEDS)" $(PAGE) --save

mutants: ## break the code as listed, or with FILE=code/... in every way, and expect the tests to notice
	$(call env,book test)
	@$(IN_ENV) mutation $(if $(FILE),--file "$(FILE)")

linkcheck: ## follow every link that leaves the site
	$(call env,book)
	@$(IN_ENV) bookbuild linkcheck

release-check: test ## all tests, and what a release needs beyond: stored runs that fit the code, and more
	@$(IN_ENV) pytest -q tests/release.py

benchmark: ## run a row of the benchmark table, or all: make benchmark [A=sac] [T=Pendulum-v1] [V=lr-high]
	$(call env,book)
	@$(if $(PEER),$(PEERS))
	@OMP_NUM_THREADS=1 $(if $(PEER),.venv-peers,.venv)/bin/python benchmarks/table.py "$(A)" "$(T)" $(V) $(ARGS)

benchmark-peers: ## speed of PPO beside other libraries, in an environment of its own
	@$(PEERS)
	@cd benchmarks && OMP_NUM_THREADS=1 ../.venv-peers/bin/python ppo_peers.py

clean: ## remove the site, keep executed results
	@if test -x .venv/bin/python; then $(IN_ENV) bookbuild clean; fi

distclean: ## remove everything that make has made, the environment too
	rm -rf _build .venv .venv-peers .venv.lock .venv.log
