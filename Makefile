# One entry for people and CI. Anything longer than a line is a script in deploy/.
.DEFAULT_GOAL := help
.PHONY: help up down test verify fix sim bench

help:    ## this list
	@sed -nE 's/^([a-z]+): *## /  make \1\t/p' Makefile | expand -t 18

up:      ## set up, build and run a mesh on this machine
	@deploy/up.sh

down:    ## stop it
	@deploy/down.sh

test:    ## everything CI runs
	@deploy/test.sh

verify:  ## format, lints, docs, licences, scripts; never writes
	@deploy/verify.sh

fix:     ## format, and let clippy mend what it can
	cargo fmt --all && cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	@! deploy/web.sh fits || deploy/web.sh fix

sim:     ## the simulation with one seed: make sim SEED=42
	OMNI_SIM_SEED=$(SEED) cargo nextest run -p omni-tests --no-capture -E 'test(/sim/)'

bench:   ## measure against etcd, docker-compose, restic …: make bench ARGS="writes --quick"
	@deploy/bench.sh $(ARGS)
