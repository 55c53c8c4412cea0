# SPDX-License-Identifier: Apache-2.0
#
# A thin front over Meson: two words instead of three commands, and set-up on a bare machine.

BUILD  ?= build
PREFIX ?= /usr/local

c_files = $(shell find $(wildcard include src examples tests bench) -name '*.[ch]' -o -name '*.cc')
log     = $(BUILD)/make.log
on_request = stress live bench

# Runs a command and shows what it said only when it failed or a compiler warned.
define quietly
mkdir -p $(BUILD); { $(1); } >$(log) 2>&1 || { cat $(log) >&2; exit 1; }; \
! grep -q 'warning:' $(log) || cat $(log) >&2
endef

configure = meson setup $$(test ! -f $(BUILD)/build.ninja || echo --reconfigure) $(1) $(BUILD) \
	&& ln -sf $(BUILD)/compile_commands.json compile_commands.json

# Tests, then the count, which is the last line: Meson's counts programs and not tests. Old logs
# go first, so that a run which dies is not counted as the one before it.
define run_tests
rm -f $(BUILD)/meson-logs/testlog.*; \
meson test -C $(BUILD) --no-rebuild --print-errorlogs $(1); result=$$?; \
tools/count-tests.py $(BUILD) && exit $$result
endef

.NOTPARALLEL: # set-up comes before configuring; Ninja and Meson do use all processors
.PHONY: help demo check check-stress bench bench-seal bench-store bench-queue bench-quick \
	install format format-check clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 24

demo: need-demo $(BUILD)/build.ninja ## the scenario: 0..99 squared by five consumers
	@$(call quietly,meson compile -C $(BUILD) src/cli/sealq:executable)
	@$(BUILD)/src/cli/sealq demo

check: need-check $(BUILD)/.with-tests ## every test but the long ones
	@$(call quietly,meson compile -C $(BUILD))
	@$(call run_tests,$(on_request:%=--no-suite %))

check-stress: need-check $(BUILD)/.with-tests ## the long ones
	@$(call quietly,meson compile -C $(BUILD))
	@$(call run_tests,--suite stress)

bench: bench-seal bench-store bench-queue ## speed, beside what others do

bench-seal: $(BUILD)-bench/build.ninja ## sealing and opening, beside OpenSSL
	@$(call quietly,meson compile -C $(BUILD)-bench)
	@bench/seal.py $(BUILD)-bench/bench/bench_seal

bench-store: $(BUILD)-bench/build.ninja ## channels on disk, beside LMDB, beanstalkd and Redis
	@tools/setup.sh bench
	@$(call quietly,meson compile -C $(BUILD)-bench)
	@bench/store.py $(BUILD)-bench/bench/bench_store

bench-queue: $(BUILD)-bench/build.ninja ## queues between threads, beside ten others
	@tools/setup.sh bench || tools/setup.sh demo
	@$(call quietly,meson compile -C $(BUILD)-bench)
	@bench/queue.py $(BUILD)-bench/bench/queue --json $(BUILD)-bench/queue.json \
		--plot $(BUILD)-bench/queue.png

bench-quick: $(BUILD)-bench/build.ninja ## the same within a minute, a line a case
	@tools/setup.sh bench || tools/setup.sh demo
	@$(call quietly,meson compile -C $(BUILD)-bench)
	@bench/queue.py $(BUILD)-bench/bench/queue --quick

# The compiler tells Debian's folder for libraries; Meson guesses wrong without dpkg-dev.
install: libdir = $(addprefix -Dlibdir=lib/,$(shell $(CC) -print-multiarch 2>/dev/null))
install: need-demo $(BUILD)/build.ninja ## PREFIX=/usr/local, DESTDIR=
	@$(call quietly,meson configure $(BUILD) -Dprefix=$(PREFIX) $(libdir) && meson compile -C $(BUILD))
	@meson install -C $(BUILD) --no-rebuild --quiet $(if $(DESTDIR),--destdir '$(abspath $(DESTDIR))')
	@test -n '$(DESTDIR)' || test $$(id -u) -ne 0 || PATH="$$PATH:/sbin" ldconfig

format: need-format ## all C files, in place
	@clang-format-14 -i $(c_files)

format-check: need-format ## what `make format` would change
	@clang-format-14 --dry-run --Werror $(c_files)

clean: ## everything that was built
	@rm -rf $(BUILD) $(BUILD)-bench build-ci compile_commands.json

need-%:
	@tools/setup.sh $*

# As Meson finds the machine: tests, for one, only where cmocka is.
$(BUILD)/build.ninja:
	@$(call quietly,$(call configure))

# Benchmarks have a build of their own: optimised, and without the tests. Peers may be missing, and
# are then named; what sealq itself needs may not.
$(BUILD)-bench/build.ninja:
	@tools/setup.sh bench || tools/setup.sh demo
	@$(call quietly,meson setup --buildtype=release -Dtests=disabled -Dbench=enabled $(BUILD)-bench)

# A build made by `make demo` may have been configured before cmocka was installed.
$(BUILD)/.with-tests:
	@$(call quietly,$(call configure,-Dtests=enabled))
	@touch $@
