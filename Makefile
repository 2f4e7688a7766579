# Two commands are enough: `make run` to talk to Hermes, `make test` to see that all of it works.
# Everything else is listed by `make help`. What a target needs, it installs (scripts/deps).

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
MESON := /usr/bin/meson
NINJA := ninja

.PHONY: debug static run test test-cm4 lint fmt fuzz bench bench-pi clean help deps-build deps-test

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

test: deps-test ## every suite; ends with "N passed, N failed"
	@cross/sysroot $(GNU)
	@cross/sysroot $(HOST_ARCH)-linux-musl
	@$(if $(OTHER),cross/sysroot $(OTHER)-linux-musl)
	@scripts/build tests $(GNU)
	@scripts/build static $(HOST_ARCH)-linux-musl
	@$(if $(OTHER),scripts/build static $(OTHER)-linux-musl)
	@tests/run

test-cm4: deps-test ## the smoke test on an emulated CM4
	@cross/sysroot aarch64-linux-musl
	@scripts/build static aarch64-linux-musl
	@tests/run cm4

lint: ## formatting, the ladder, banned functions, sizes
	@scripts/deps lint
	@tests/lint/run

fmt: ## format the sources
	@scripts/deps lint
	@tests/lint/format.py --fix

fuzz: ## fuzz every parser for SECONDS each (default 60)
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

bench-pi: ## the same table on a real Pi over ssh: make bench-pi HOST=pi@address
	@test -n "$(HOST)" || { echo "say which: make bench-pi HOST=pi@address" >&2; exit 2; }
	@scripts/deps build cross
	@cross/sysroot aarch64-linux-musl
	@scripts/build static aarch64-linux-musl
	@benchmarks/pi "$(HOST)"

clean: ## remove what was built; the libraries stay in ~/.cache/hermes
	@rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps-build:
	@scripts/deps build $(if $(filter-out $(HOST_ARCH),$(ARCH)),cross)

deps-test:
	@scripts/deps build cross test lint
