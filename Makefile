# dspex: `make` prints what there is. On a machine with Go and Python 3.10+ the
# targets set up everything else below .cache.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

CACHE  := $(CURDIR)/.cache
TOOLS  := $(CACHE)/tools
VENV   := $(CACHE)/venv
GEN    := $(CACHE)/generate
PYTHON ?= python3
UV     := $(CACHE)/uv/bin/uv

export DSPEX_PYTHON_DIR ?= $(CACHE)/python

BUF_VERSION         := 1.75.0
GOFUMPT_VERSION     := v0.12.0
STATICCHECK_VERSION := v0.8.2
UV_VERSION          := 0.13.9

.PHONY: help build demo test check lint generate generate-check test-go test-python fmt clean

help: ## Print this help.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: bin/dspex ## Build bin/dspex.

.PHONY: bin/dspex
bin/dspex:
	@go build -trimpath -o $@ ./cmd/dspex

demo: build ## Start 8 DSPy workers against a built-in fake LM and run the examples.
	@./bin/dspex demo -c pools.hcl

test: lint generate-check test-go test-python ## Run every test, with the race detector.

check: test ## The same as test.

lint: $(TOOLS)/gofumpt $(TOOLS)/staticcheck $(VENV)/ok ## Check format and style of Go and Python.
	@echo "lint: gofumpt, go vet, staticcheck, ruff, mypy"
	@bad=$$($(TOOLS)/gofumpt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$\|\.connect\.go$$')); if [ -n "$$bad" ]; then echo "not gofumpt-formatted: $$bad"; exit 1; fi
	@go vet ./...
	@$(TOOLS)/staticcheck ./...
	@cd python && $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

generate: $(GEN)/ok ## Generate the protocol code anew.
	@PATH="$(GEN)/bin:$$PATH" PYTHON="$(GEN)/bin/python" shared/proto/generate.sh

generate-check: $(GEN)/ok ## Check that the committed protocol code is up to date.
	@echo "generate: buf lint, and comparing"
	@rm -rf $(CACHE)/fresh && mkdir -p $(CACHE)/fresh/shared $(CACHE)/fresh/python/dspex
	@cp -r shared/proto $(CACHE)/fresh/shared/ && cp -r python/dspex/_proto $(CACHE)/fresh/python/dspex/
	@PATH="$(GEN)/bin:$$PATH" PYTHON="$(GEN)/bin/python" $(CACHE)/fresh/shared/proto/generate.sh
	@diff -r -x __pycache__ shared/proto $(CACHE)/fresh/shared/proto && diff -r -x __pycache__ python/dspex/_proto $(CACHE)/fresh/python/dspex/_proto \
		|| { echo "generated code is stale: run make generate"; exit 1; }

test-go: $(CACHE)/api/ok ## Run the Go tests: integration, and the API against openapi.yaml, included.
	DSPEX_REQUIRE_PYTHON=1 DSPEX_ST=$(CACHE)/api/bin/st go test -race -timeout 20m ./...

test-python: $(VENV)/ok ## Run the Python tests.
	cd python && $(VENV)/bin/python -m pytest -q

fmt: $(TOOLS)/gofumpt $(VENV)/ok ## Format Go and Python.
	@$(TOOLS)/gofumpt -w $$(git ls-files '*.go' | grep -v '\.pb\.go$$\|\.connect\.go$$')
	@cd python && $(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

clean: ## Remove what the other targets made.
	@chmod -R u+w $(CACHE) 2>/dev/null || true
	@rm -rf $(CACHE) bin

# Tools, pinned.

$(TOOLS)/gofumpt:
	@GOBIN=$(TOOLS) go install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)

$(TOOLS)/staticcheck:
	@GOBIN=$(TOOLS) go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)

$(UV):
	@$(PYTHON) -m venv $(CACHE)/uv
	@$(CACHE)/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/ok: python/requirements.lock python/requirements-dev.lock $(UV)
	@$(UV) venv --quiet --clear --python $(PYTHON) $(VENV)
	@$(UV) pip install --quiet --python $(VENV)/bin/python --require-hashes -r python/requirements.lock -r python/requirements-dev.lock
	@touch $@

$(GEN)/ok: python/requirements-generate.lock $(UV) go.mod Makefile
	@$(UV) venv --quiet --clear --python $(PYTHON) $(GEN)
	@$(UV) pip install --quiet --python $(GEN)/bin/python --require-hashes -r python/requirements-generate.lock
	@GOBIN=$(GEN)/bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	@GOBIN=$(GEN)/bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
	@GOBIN=$(GEN)/bin go install connectrpc.com/connect/cmd/protoc-gen-connect-go@v1.21.1
	@touch $@

$(CACHE)/api/ok: python/requirements-api.lock $(UV)
	@$(UV) venv --quiet --clear --python $(PYTHON) $(CACHE)/api
	@$(UV) pip install --quiet --python $(CACHE)/api/bin/python --require-hashes -r python/requirements-api.lock
	@touch $@
