# Two commands are enough: `make run` to talk to Hermes, `make test` to see that all of it works.
# Everything else is listed by `make help`. Each target installs what it needs (scripts/deps).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := debug
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

HOST_ARCH := $(shell uname -m)
ARCH ?= $(HOST_ARCH)
GNU := $(HOST_ARCH)-linux-gnu
MUSL := $(ARCH)-linux-musl
OTHER := $(if $(filter x86_64,$(HOST_ARCH)),aarch64)

.PHONY: debug static run check test test-all test-peers test-image test-cluster test-cm4 lint fmt fuzz
.PHONY: bench bench-peers bench-pi release clean help deps-build deps-check deps-test

debug: deps-build ## native build with sanitizers: build/debug/hermes
	@cross/sysroot $(GNU)
	@scripts/build debug $(GNU)

static: deps-build ## static, stripped binary: build/ARCH-linux-musl/hermes (ARCH=aarch64|x86_64)
	@cross/sysroot $(MUSL)
	@scripts/build static $(MUSL)

run: ## build Hermes and talk to it; as root it gets a system user of its own
	@scripts/deps build
	@cross/sysroot $(HOST_ARCH)-linux-musl
	@scripts/build static $(HOST_ARCH)-linux-musl
	@scripts/run $(HOST_ARCH)-linux-musl

check: deps-check ## lint and a fast pass over every module, in 90 seconds
	@tests/run --check

test: deps-test ## all suites but peers, image and cluster; ends with "N passed, N failed"
	@tests/run

test-all: deps-test ## all suites of all targets at full depth, for a release; as root, hours
	@scripts/deps peers image cluster
	@tests/run --full --target all

test-peers: ## compare our router with the real LiteLLM from PyPI (650 MB)
	@scripts/deps build peers
	@tests/run --target test-peers

test-image: ## the agent's image, built by buildah and run by podman; as root
	@scripts/deps test image
	@tests/run --target test-image

test-cluster: ## make ai on a real Kubernetes node in a network namespace; as root
	@scripts/deps test image cluster
	@tests/run --target test-cluster

test-cm4: deps-test ## the smoke test on an emulated CM4
	@tests/run cm4

lint: ## formatting, the ladder, banned functions, sizes
	@scripts/deps lint
	@tests/lint/run

fmt: ## format the sources
	@scripts/deps lint
	@tests/lint/format.py --fix

fuzz: ## fuzz every parser for 60 seconds each, or SECONDS_EACH=n
	@scripts/deps build fuzz
	@cross/sysroot $(GNU)
	@scripts/fuzz $(GNU) $(or $(SECONDS_EACH),60)

bench: ## measure size, start, memory, CPU of a turn and request bytes
	@scripts/deps build cross test bench
	@cross/sysroot $(HOST_ARCH)-linux-musl
	@scripts/build static $(HOST_ARCH)-linux-musl
	@$(if $(OTHER),cross/sysroot $(OTHER)-linux-musl)
	@$(if $(OTHER),scripts/build static $(OTHER)-linux-musl)
	@benchmarks/run

bench-peers: ## beside hermes-agent, litellm, holmesgpt and zeroclaw, which it installs (2 GB)
	@scripts/deps build bench
	@cross/sysroot $(HOST_ARCH)-linux-musl
	@scripts/build static $(HOST_ARCH)-linux-musl
	@benchmarks/peers $(if $(ONLY),--only $(ONLY))

bench-pi: ## the same table on a real Pi over ssh: make bench-pi HOST=pi@address
	@test -n "$(HOST)" || { echo "HOST is missing: make bench-pi HOST=pi@address" >&2; exit 2; }
	@scripts/deps build cross
	@cross/sysroot aarch64-linux-musl
	@scripts/build static aarch64-linux-musl
	@benchmarks/pi "$(HOST)"

# ---- in the cluster (docs/kubernetes.md). These need kubectl and nothing of the above; scripts/ai/
# tells more. Settings go along by themselves: make ai NAMESPACE=... TAG=... KUBE_CONTEXT=...

.PHONY: ai ai-registry ai-hermes-build ai-kubernetes-mcp-build ai-hermes-deploy ai-status ai-logs
.PHONY: ai-undeploy

ai: ## the next four targets in order: from the sources to a bot that answers
	@scripts/ai/deploy --check
	@scripts/ai/registry
	@scripts/ai/build hermes
	@[ "$(KUBERNETES_MCP)" = 0 ] || scripts/ai/build kubernetes-mcp
	@scripts/ai/deploy

ai-registry: ## the cluster's own registry
	@scripts/ai/registry

ai-hermes-build: ## the agent's image, built inside the cluster
	@scripts/ai/build hermes

ai-kubernetes-mcp-build: ## the image of kubernetes-mcp-server
	@scripts/ai/build kubernetes-mcp

ai-hermes-deploy: ## the agent with k8s/config.yaml and k8s/secrets.env
	@scripts/ai/deploy

ai-status: ## the state of everything, and what to do about problems
	@scripts/ai/status

ai-logs: ## the agent's log; OF=registry, hermes-build or kubernetes-mcp-build: theirs
	@scripts/ai/logs

ai-undeploy: ## remove the agent; asks first, and keeps its volume
	@scripts/ai/undeploy

release: ## both static binaries, checksums, SBOM and licences in dist/
	@scripts/deps build cross release
	@scripts/release

clean: ## remove the builds; the libraries stay in ~/.cache/hermes
	@rm -rf build dist

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / && !/^ai/ {printf "  make %-16s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)
	@printf '\nin a Kubernetes cluster, with kubectl (docs/kubernetes.md):\n'
	@awk -F ':.*## ' '/^ai[a-z-]*:.*## / {printf "  make %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps-build:
	@scripts/deps build $(if $(filter-out $(HOST_ARCH),$(ARCH)),cross)

deps-check:
	@scripts/deps build test lint

deps-test:
	@scripts/deps build cross test lint release
