# On a fresh machine with Go: make run starts the demo, make test checks everything.

SHELL     := /bin/bash
GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS   := -s -w -X main.version=$(VERSION)
FUZZTIME  ?= 20s
CHAOSTIME ?= 60s
SEED      ?= 0

.DEFAULT_GOAL := help
.PHONY: setup build run test race fuzz chaos bench lint fmt clean help

help: ## show this
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## fetch what building and testing needs
	@scripts/setup

build: setup ## put tine and demo into bin/
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/tine ./cmd/demo

run: build ## run the demo service under Tine on :7000, as in the README
	@bin/demo -setup -db demo.db
	@exec bin/tine run -c cmd/demo/tine.yaml

test: setup ## make every check: format, vet, staticcheck, import rules, all tests with -race
	@scripts/test

lint: setup ## check format, vet, staticcheck, types on macOS and arm64
	@scripts/lint

race: setup ## run all tests, real processes included, with the race detector
	@scripts/race

fuzz: setup ## run every fuzz test for FUZZTIME (20s)
	@scripts/fuzz $(GO) $(FUZZTIME)

chaos: build ## roll, scale, kill (the master too) and upgrade at random under load for CHAOSTIME (60s); SEED=n repeats a run
	@$(GO) run ./scripts/chaos -for $(CHAOSTIME) -seed $(SEED)

bench: build ## measure Tine and its peers in one run
	@$(GO) run ./scripts/bench

fmt: ## format the code
	@gofmt -w $$(git ls-files '*.go')

clean: ## remove what the other targets made
	@rm -rf bin demo.db demo.db-wal demo.db-shm
