# casque: the commands of a developer. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help build check test handbook soak bench demo demo-stop demo-release clean

target := x86_64-unknown-linux-gnu
static := casque-init casque-agent casque-shim
built  := $(or $(CARGO_TARGET_DIR),target)

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## build dist/bin/casque, casque-depot and the static programs that go into images and sandboxes
	cargo build --locked --release --package casque --package casque-depot
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target $(target) $(addprefix --package ,$(static))
	install -D --target-directory dist/bin $(built)/release/casque $(built)/release/casque-depot $(addprefix $(built)/$(target)/release/,$(static))

check: ## formatting, lints and documentation, warnings denied
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --workspace --no-deps --document-private-items --quiet

test: ## everything, on real engines; sets itself up
	tests/install-needs.sh test
	tests/all.sh

handbook: ## each command of the example's handbook, on Docker
	tests/install-needs.sh test
	tests/docs.sh

soak: ## what takes too long for every change
	tests/install-needs.sh test
	tests/soak.sh

bench: ## casque beside what else there is, as ratios; sets itself up
	tests/install-needs.sh bench
	$(MAKE) build
	demo/image.sh
	bench/init.sh
	bench/start.sh
	bench/depot.sh
	bench/build.sh

demo: ## build the example and run it on port DEMO_PORT (8080); sets itself up
	tests/install-needs.sh demo
	$(MAKE) build
	demo/image.sh
	demo/start.sh

demo-stop: ## stop the demo and remove what it left running
	demo/stop.sh

demo-release: ## tag the example, release it to a depot and run it as a customer does; sets itself up
	tests/install-needs.sh demo
	$(MAKE) build
	demo/release.sh

clean: ## remove what was built
	rm -rf dist $(built)
