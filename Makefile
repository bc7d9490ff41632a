# From a fresh clone with Python and make alone: every target gets uv first, into .tools, if there is none: the version
# that deploy/uv.txt names, and no other file than its hashes do.
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)

.PHONY: up test lint sync

up: sync
	$(UV) run hourbook up

test: sync
	$(UV) run pytest

lint: sync
	$(UV) run ruff check .
	$(UV) run ruff format --check .
	$(UV) run mypy
	$(UV) run lint-imports

sync: $(UV)
	$(UV) sync --frozen --quiet

.tools/bin/uv: deploy/uv.txt
	python3 -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r deploy/uv.txt
	touch $@
