# All commands of this project. `make` alone lists them.
# They need Python 3.11 and make. uv is taken from PATH, or installed into .tools: the version and hashes of deploy/uv.txt.
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)

# A few tests of each service, with real servers: what `make quick` runs beside the unit tests.
SMOKE := $(addprefix tests/integration/, \
	test_event_store.py test_command_http.py test_relay.py test_gateway.py reads/test_available.py \
	test_projector.py::test_a_redelivered_batch_changes_nothing \
	test_sealer.py::test_an_event_is_sealed_within_a_second_and_published \
	test_notices.py::test_a_booking_starts_is_ending_and_ends)

.DEFAULT_GOAL := help
.PHONY: help up fmt check lint tidy quick test failover upgrade patroni torture bench build hooks schema openapi sync

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: sync ## Run Hourbook on this machine, at http://127.0.0.1:8080
	$(UV) run hourbook up

fmt: sync ## Format the code, and mend what ruff can mend
	$(UV) run ruff check --fix .
	$(UV) run ruff format .

check: lint tidy ## Everything short of the tests: lint and tidy

lint: sync ## Ruff, the formatter's check, mypy --strict, the import contracts
	$(UV) run ruff check .
	$(UV) run ruff format --check .
	$(UV) run mypy
	$(UV) run lint-imports

tidy: sync ## The house rules: lengths, docstrings, paths (tests/unit/test_tidy.py)
	$(UV) run pytest --quiet tests/unit/test_tidy.py

quick: sync ## The tests of the inner loop: the unit tests, and some of each service
	$(UV) run pytest --quiet -n 2 --dist worksteal tests/unit $(SMOKE)

test: sync ## All tests, with real servers and a browser
	$(UV) run pytest -n 2 --dist loadfile

failover: sync ## Several failovers of PostgreSQL in a row, under load; prints how long nothing was answered
	$(UV) run pytest -m failover -s tests/e2e/test_failover.py

upgrade: sync ## The version before this one is replaced by this one, under load
	$(UV) run pytest -m upgrade -s tests/e2e/test_upgrade.py

patroni: sync ## A failover by Patroni with etcd (apt-get install etcd-server); prints what it measured
	$(UV) run pytest -m patroni -s tests/e2e/test_patroni.py

torture: sync ## Kill, pause and cut every part at random for MINUTES (2), under load, and check the whole at the end
	$(UV) run pytest --quiet -m torture tests/e2e/test_left_behind.py
	$(UV) run python -m tests.torture --minutes $(or $(MINUTES),2)

bench: sync ## Measure the speed; prints the table of the README
	$(UV) run hourbook bench

build: sync ## The wheel and the source distribution, into dist/
	$(UV) build

hooks: sync ## Check every commit before git makes it (.pre-commit-config.yaml)
	$(UV) run pre-commit install

schema: sync ## Write shared/migrations/schema.sql again, after a new migration
	$(UV) run python -m tests.support.schema

openapi: sync ## Write shared/http/openapi.json again, after a change of a route or of what it answers
	$(UV) run python -m tests.support.openapi

sync: $(UV)
	$(UV) sync --frozen --quiet

.tools/bin/uv: deploy/uv.txt
	python3 -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r deploy/uv.txt
	touch $@
