# Windlass: everything that a fresh Debian 12 with Rust needs to run and to test it.
#
#   make demo    the main job on the lab, from nothing to an upgraded cluster
#   make test    every test, the lab's chapters included (but eleven, for their time: make chapters)
#
# Both install what is missing (they say what; they ask unless CI=true), start the container engine where it is not
# running, and are quick when everything is there.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

LAB := tests/lab/lab
STATE := target/demo
WINDLASS := target/release/windlass
# The lab's cluster is made by the windlass that is at hand.
UP_BY_RELEASE := WINDLASS=$(abspath $(WINDLASS)) $(LAB) up
# Half an hour. What 6 and 10 show is shown by chapters 7 to 9 as well, from other starts; 11 restores etcd, 12
# looks after it, 14 and 16 do so with a stacked one, 15 raises it from an archive, 17 raises a stacked one; 19
# begins a stacked cluster, and 18 one with external etcd; 20 lets nodes of a stacked one come and go; 21 renews certificates.
LEFT_OUT := --skip chapter_06 --skip chapter_10 --skip chapter_11 --skip chapter_12 --skip chapter_14 --skip chapter_15 --skip chapter_16 \
  --skip chapter_17 --skip chapter_19 --skip chapter_20 --skip chapter_21
stage = @printf '\n== %s (%s)\n' "$(1)" "$$(date +%T)"

.PHONY: help demo test test-fast test-lab chapters lint setup soak lab-up lab-down bench bench-etcd fuzz

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))
	@echo "make test-fast, test-lab, chapters, lint, soak, lab-up, lab-down, bench, bench-etcd, fuzz"

setup:
	$(call stage,installing what is missing)
	$(LAB) setup

lint: setup
	$(call stage,formatting)
	cargo fmt --check
	$(call stage,clippy)
	cargo clippy --all-targets --locked -- -D warnings
	$(call stage,shell scripts)
	tests/lint-scripts

test-fast: lint
	$(call stage,unit$(comma) property$(comma) scenario and black-box tests)
	cargo test --locked

test-lab: setup
	$(call stage,building what the lab runs; cached)
	$(LAB) build
	$(call stage,a fresh lab)
	$(LAB) up --fresh
	$(call stage,the lab chapters)
	if [ -x /usr/sbin/sshd ]; then \
	  PATH="$$($(LAB) tools):$$PATH" cargo test --locked --test remote_ssh --test stores -- --ignored; \
	else \
	  echo "this machine has no sshd (Debian package openssh-server): tests/remote_ssh and tests/stores/sftp are left out"; \
	fi
	cargo test --locked --test etcd_restore -- --ignored --test-threads=1
	cargo test --locked --test observe_lab --test remote_lab -- --ignored --test-threads=1
	cargo test --locked --test chapters -- --ignored --test-threads=1 --nocapture $(LEFT_OUT)

# Every chapter, those too that `make test` leaves out for their time.
chapters: setup
	$(LAB) build
	$(LAB) up --fresh
	cargo test --locked --test chapters -- --ignored --test-threads=1 --nocapture

test: test-fast test-lab
	$(call stage,all tests passed)

demo: setup
	$(call stage,building windlass)
	cargo build --release --locked
	$(call stage,building what the lab runs; cached)
	$(LAB) build
	$(call stage,a fresh lab)
	$(UP_BY_RELEASE) --fresh
	$(call stage,the cluster before)
	$(LAB) kubectl get nodes
	$(call stage,the plan)
	mkdir -p $(STATE)
	$(WINDLASS) upgrade plan -i inventories/lab.toml --to 1.21.14 --etcd-to 3.5.16 --out $(STATE)/plan.json
	$(call stage,carrying it out)
	WINDLASS_STATE=$(STATE)/state $(WINDLASS) upgrade apply $(STATE)/plan.json --yes
	$(call stage,the cluster after)
	$(LAB) kubectl get nodes
	$(LAB) status

soak:
	$(call stage,random faults against the simulated cluster for SOAK_SECONDS ($${SOAK_SECONDS:-900}))
	cargo test --release --locked --test simulation soak -- --ignored --nocapture

bench: setup
	cargo build --release --locked
	$(UP_BY_RELEASE)
	for try in 1 2 3 4 5; do \
	  $(WINDLASS) upgrade plan -i inventories/lab.toml --to 1.21.14 --etcd-to 3.5.16 -o json 2>&1 >/dev/null | grep looked; \
	done

# A backup of 1 GiB against one by hand; then its proof and its restore. Leaves the lab's etcd full of it.
bench-etcd: setup
	cargo build --release --locked
	$(UP_BY_RELEASE)
	tests/bench/etcd

# Each target for FUZZ_SECONDS, an hour when nothing else is said; TARGETS names some of them.
fuzz:
	tests/fuzz/run $(TARGETS)

lab-up: setup
	$(LAB) up

lab-down:
	$(LAB) down

comma := ,
