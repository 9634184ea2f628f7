# The commands for people who have just cloned alos. Meson does the work behind them.

.DEFAULT_GOAL := help
.PHONY: help serve demo-acme test bench fuzz generated clean

FUZZ_SECONDS ?= 60

help:
	@echo 'make serve      serve examples/www on https://localhost:8443 (ARGS=... are passed on)'
	@echo 'make demo-acme  show certificates being obtained and renewed, with a CA of our own'
	@echo 'make test       run every test, the sanitizers included'
	@echo 'make bench      run the benchmarks'
	@echo 'make fuzz       run every fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make generated  write the single header and RFC_MAP.md anew'
	@echo 'make clean      remove what was built here'
	@echo
	@echo 'The first run brings what is missing, see tools/setup.sh; later ones start at once.'

serve:
	@tools/setup.sh run
	@tools/configure.sh build/serve --buildtype=release -Dtests=disabled -Dbench=disabled
	@ninja -C build/serve --quiet examples/serve
	@exec build/serve/examples/serve $(ARGS)

demo-acme:
	@tools/setup.sh demo
	@tools/configure.sh build/serve --buildtype=release -Dtests=disabled -Dbench=disabled
	@ninja -C build/serve --quiet examples/acme
	@tools/demo_acme.py build/serve/examples/acme

test:
	@tools/setup.sh test
	@tools/run_tests.py

bench:
	@tools/setup.sh run
	@tools/configure.sh build/bench --buildtype=release -Dtests=disabled -Dexamples=disabled
	@meson test -C build/bench --benchmark --verbose

fuzz:
	@tools/setup.sh fuzz
	@tools/run_fuzzers.sh $(FUZZ_SECONDS)

generated:
	tools/amalgamate.py
	tools/rfc_map.py

clean:
	rm -rf build
