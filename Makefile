# Two commands matter: `make run` and `make test`.

PLUGINS   := powerdns alidns cloudflare digitalocean dnspod hetzner huaweicloud rfc2136 route53 even-slots drain hot-slots
DIST      := plugins/dist
WASM      := wasm32-wasip2
# One process per test where cargo-nextest is installed, cargo's own runner otherwise.
RUNNER    := $(shell cargo nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

.PHONY: run test conformance simulate bench lint plugins powerdns valkey fmt clean

## Build everything and start a group of one on 127.0.0.1:8420, its data in ./portolan-data, that also
## answers DNS queries on 127.0.0.1:8453, with the lines of examples/lines.txt.
run: plugins
	cargo build
	PORTOLAN_DNS_LINES=examples/lines.txt \
	  target/debug/portolan serve --plugins $(DIST) --dns-listen 127.0.0.1:8453

## All tests: units, then the real daemon against real servers.
test: plugins
	cargo $(RUNNER) --workspace

## The conformance suite of the providers, or of one: `make conformance PROVIDER=alidns`.
conformance: plugins
	cargo $(RUNNER) -p portolan-tests --test conformance $(PROVIDER)

## 100,000 runs of the simulation of survivor mode, some minutes. `make test` has 2,000 of them.
simulate:
	PORTOLAN_SEEDS=$(or $(SEEDS),100000) cargo $(RUNNER) -p portolan-steering --lib whatever_happens_lines_have_one_owner

## Compare with etcd in the same run: a table, and target/bench/etcd.json. `BENCH=steer make bench` measures
## that part alone: write, read, probe, steer, move or vendor.
bench: plugins
	cargo build --release -p portolan
	cargo run --release -p portolan-tests --bin bench -- $(BENCH:%=--operations %)

## Formatting, lints, licences. cargo-deny is used where it is installed.
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; \
	else echo "cargo-deny is not installed: licences and advisories were not checked"; fi

## Build the components, providers and migration policies, into plugins/dist.
plugins:
	cargo build --target $(WASM) --profile plugin $(PLUGINS:%=-p portolan-%)
	@mkdir -p $(DIST)
	@for plugin in $(PLUGINS); do \
	  cp -u "target/$(WASM)/plugin/portolan_$$(echo $$plugin | tr - _).wasm" $(DIST)/$$plugin.wasm; done

## A PowerDNS on loopback with temporary data, for the tour in the README. Ctrl-C stops it.
powerdns:
	cargo run -q -p portolan-tests --bin powerdns

## Six empty Valkey servers on loopback with temporary data, to make a cluster of. Ctrl-C stops them.
valkey:
	cargo run -q -p portolan-tests --bin valkey

fmt:
	cargo fmt --all

clean:
	cargo clean
	rm -rf $(DIST)
