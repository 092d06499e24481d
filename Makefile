# The commands that people and CI run.
#   make run    build everything and open the demo shop
#   make test   every test, with real servers and a real browser; installs or names what is missing
#   make check  format, lints, unit tests: before each commit
#   make build  the pages and the release binary
#   make bench    the speed table of bench/RESULTS.md, about an hour; QUICK=1: five minutes, figures only roughly right
#   make bench-micro  micro-benchmarks of the rules, the encodings and the read model
#   make check-speed  instruction counts of one fixed workload against the recorded ones; RECORD=1 records them
#   make cluster  the services as processes over RabbitMQ and PostgreSQL, on this machine

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release/holdfast
DEBUG := $(abspath $(TARGET))/debug/holdfast

.PHONY: run build cluster web check check-rust check-web test test-rust test-web test-api servers clean bench bench-pages bench-micro check-speed

run: build
	$(RELEASE) serve --demo

build: web
	cargo build --release --locked --bin holdfast

# The pages. Built again only when one of their sources changed.
web: web/dist/index.html

web/dist/index.html: web/package-lock.json web/openapi.json web/index.html web/vite.config.ts $(shell find web/src web/public -type f ! -name schema.d.ts 2>/dev/null)
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer (Debian: apt-get install nodejs npm)"; exit 1; }
	cd web && npm ci --no-audit --no-fund && npm run build
	@touch $@

web/node_modules: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

check: check-rust check-web

check-rust:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked -p holdfast-domain
	cargo test --locked -p holdfast-store -p holdfast-bus --lib
	cargo test --locked -p holdfast --bins --test tidy

check-web: web/node_modules
	cd web && npm run check

# What the tests need from the system.
servers:
	crates/testbed/ensure-servers.sh

test: servers web
	$(MAKE) check-rust
	$(MAKE) check-web
	$(MAKE) test-rust
	$(MAKE) test-api
	$(MAKE) test-web
	tests/deploy-lint.sh

test-rust:
	cargo build --locked --bin holdfast
	cargo test --locked --workspace --tests

# The API's own description, thrown at the running server by a program that knows nothing else of it.
test-api:
	tests/api-fuzz.sh $(DEBUG)

# In a real browser, against the real binary; and the health board against a cluster whose consumers are killed.
CLUSTER := $(abspath $(TARGET))/debug/holdfast-testbed cluster --bin $(DEBUG) --logs $(abspath $(TARGET))/cluster-logs --port 0 --restart-after 30
test-web: web web/node_modules
	crates/testbed/ensure-servers.sh rabbitmq-server postgresql haproxy chromium
	cargo build --locked --bin holdfast --bin holdfast-testbed
	cd web && HOLDFAST_BIN=$(DEBUG) HOLDFAST_CLUSTER_CMD="$(CLUSTER)" npm test

clean:
	rm -rf web/dist web/node_modules
	cargo clean

# The real thing on this machine, no containers needed: RabbitMQ, PostgreSQL, a balancer, every role its own process.
cluster: servers web
	cargo build --release --locked --bin holdfast --bin holdfast-testbed
	$(TARGET)/release/holdfast-testbed cluster --bin $(TARGET)/release/holdfast

# Wants an idle machine and 20 GB of room for temporary files (QUICK: 3 GB). BENCH passes more: make bench BENCH="--rows orders,reads --modes embedded".
bench:
	crates/testbed/ensure-servers.sh rabbitmq-server postgresql redis-server
	cargo build --release --locked --bin holdfast --bin holdfast-compare
	$(TARGET)/release/holdfast-compare table --bin $(TARGET)/release/holdfast $(if $(QUICK),--quick) $(BENCH)

# How long the shop's first 60 cards take a browser, beside a bare page of as many.
bench-pages: web web/node_modules
	crates/testbed/ensure-servers.sh chromium
	cargo build --release --locked --bin holdfast
	cd web && HOLDFAST_BIN=$(abspath $(RELEASE)) npm run bench

bench-micro:
	cargo bench --locked -p holdfast-compare

check-speed:
	@command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind"; exit 1; }
	cargo build --release --locked --bin holdfast-compare --bin workload
	$(TARGET)/release/holdfast-compare instructions --workload $(TARGET)/release/workload $(if $(RECORD),--record)
