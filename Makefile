# SPDX-License-Identifier: GPL-2.0-or-later
# hsmbench: build, test and bench. `make help` lists the targets.

B       ?= build
V       ?= 0
SAN     ?=
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc

ifeq ($(origin CC),default)
CC := gcc
endif
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)')

VERSION := 0.1
OPT     ?= -O2 -g
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 \
            -DHSM_VERSION='"$(VERSION)"' -I.
CFLAGS_ALL = -std=gnu17 $(OPT) $(WARN) $(SANFLAGS) -pthread $(CFLAGS)
LDFLAGS_ALL = $(SANFLAGS) -pthread $(LDFLAGS)

pkg = $(shell pkg-config $(1) $(2) 2>/dev/null)
# A libfuse newer than the distribution's, if `make deps` had to build one; static.
LIBFUSE ?= build/libfuse
ifneq ($(wildcard $(LIBFUSE)/complete),)
fuse_pkg = $(shell PKG_CONFIG_PATH=$(LIBFUSE)/lib/pkgconfig pkg-config \
             --define-variable=prefix=$(abspath $(LIBFUSE)) --static $(1) fuse3)
else
fuse_pkg = $(call pkg,$(1),fuse3)
endif
CPPFLAGS += $(call fuse_pkg,--cflags)
# Since 3.18.3 libfuse says when a request is to clear set-id bits.
probe_kill := \#include <fuse_lowlevel.h>\nstruct fuse_file_info f = {.kill_suidgid = 1};\n
CPPFLAGS += $(KILL_SUIDGID)
KILL_SUIDGID := $(shell printf '$(probe_kill)' | $(CC) -DFUSE_USE_VERSION=314 -D_FILE_OFFSET_BITS=64 \
    $(call fuse_pkg,--cflags) -fsyntax-only -x c - 2>/dev/null && echo -DHSM_HAVE_KILL_SUIDGID)
LIBS_HSM     = $(call pkg,--libs,libcurl jansson gumbo)
LIBS_FUSE    = $(call fuse_pkg,--libs) $(call pkg,--libs,liburing)
LIBS_FAN     = $(call pkg,--libs,libsystemd)
LIBS_HARNESS = $(call pkg,--libs,jansson inih libxxhash) -lm
LIBS_hsmgen  = $(call pkg,--libs,libarchive libxxhash)
LIBS_TEST    = $(call pkg,--libs,cmocka libmicrohttpd)

srcs = $(wildcard $(1)/*.c)
objs = $(patsubst %.c,$(B)/obj/%.o,$(call srcs,$(1)))

BIN   := $(B)/bin
PROGS := $(BIN)/fuse_hsm $(BIN)/fan_hsm $(BIN)/hsmctl $(BIN)/hsmbench
GENS  := $(patsubst workloads/%.c,$(BIN)/%,$(wildcard workloads/*.c))
UNITS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*.c))
TOOLS := $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(wildcard tests/tools/*.c))
CFILES = $(shell git ls-files '*.c' '*.h')

.PHONY: all help deps bench check unit it build tests install uninstall clean distclean lint \
        format format-check analyze figures plots
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGS) $(GENS) ## build the programs
tests: all $(UNITS) $(TOOLS) ## build the tests

help: ## this text
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' Makefile
	@echo '  variables: V=1 SAN=address,undefined|thread CC= PREFIX= DESTDIR= RESULTS='

deps: ## install what is missing (Debian packages; needs root)
	$(Q)sh tests/deps.sh
	$(Q)sh tests/libfuse.sh $(LIBFUSE)

bench: deps ## install, build, run the quick comparison, write report and plots
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) all
	$(Q)$(BIN)/hsmbench bench --preset quick

check: deps ## install, build, run all tests
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) tests
	$(Q)sh tests/run.sh

unit: tests ## unit tests only
	$(Q)sh tests/run.sh unit

it: tests ## integration tests only (root)
	$(Q)sh tests/run.sh it

figures: tests ## measure the figures the project promises (root)
	$(Q)sh tests/figures.sh

plots: all ## remake every figure of RESULTS=dir
	$(Q)$(BIN)/hsmbench plot $(RESULTS)

# Everything is rebuilt when the flags change.
FLAGS_NOW := $(CC) $(CFLAGS_ALL) $(CPPFLAGS) $(LDFLAGS_ALL)
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || echo '$(subst ','\'',$(FLAGS_NOW))' > $@
.PHONY: FORCE
FORCE:

$(B)/obj/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/libhsm.a: $(call objs,hsm)
	$(call say,AR,$@)
	$(Q)rm -f $@; ar rcsD $@ $^

$(B)/libbench.a: $(filter-out $(B)/obj/harness/main.o,$(call objs,harness))
	$(call say,AR,$@)
	$(Q)rm -f $@; ar rcsD $@ $^

define link
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(1)
endef

$(BIN)/fuse_hsm: $(call objs,fuse_hsm) $(B)/libhsm.a
	$(call link,$(LIBS_FUSE) $(LIBS_HSM))
$(BIN)/fan_hsm: $(call objs,fan_hsm) $(B)/libhsm.a
	$(call link,$(LIBS_HSM) $(LIBS_FAN))
$(BIN)/hsmctl: $(call objs,hsmctl) $(B)/libhsm.a
	$(call link,$(LIBS_HSM))
$(BIN)/hsmbench: $(B)/obj/harness/main.o $(B)/libbench.a
	$(call link,$(LIBS_HARNESS))
$(BIN)/hsmgen: $(call objs,workloads/gen)
$(GENS): $(BIN)/%: $(B)/obj/workloads/%.o
	$(call link,$(LIBS_$*) -lm)
$(UNITS): $(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(B)/libhsm.a $(B)/libbench.a
	$(call link,$(if $(findstring test_fuse_,$@),$(LIBS_FUSE)) $(if $(findstring test_fan_,$@),$(LIBS_FAN)) \
	    $(LIBS_HSM) $(LIBS_HARNESS) $(LIBS_TEST))
$(filter $(B)/tests/unit/test_fuse_%,$(UNITS)): $(filter-out %/main.o,$(call objs,fuse_hsm))
$(filter $(B)/tests/unit/test_fan_%,$(UNITS)): $(filter-out %/main.o,$(call objs,fan_hsm))
$(B)/tests/tools/posixcheck: $(call objs,tests/tools/posix)
$(B)/tests/tools/pathcheck: $(call objs,tests/tools/pathcheck)
$(TOOLS): $(B)/tests/tools/%: $(B)/obj/tests/tools/%.o
	$(call link,$(LIBS_TEST) $(call pkg,--libs,libcurl) $(if $(filter %/pathcheck,$@),$(call pkg,--libs,liburing)))

install: all ## install below $(DESTDIR)$(PREFIX)
	$(Q)sh tests/install.sh install '$(DESTDIR)$(PREFIX)' $(B)

uninstall: ## remove what install put there
	$(Q)sh tests/install.sh uninstall '$(DESTDIR)$(PREFIX)' $(B)

lint: all ## symbol prefixes, include directions, shellcheck
	$(Q)sh tests/lint.sh $(B)

format: ## reformat the C sources
	$(Q)clang-format -i $(CFILES)

format-check: ## fail if a C source is not formatted
	$(Q)clang-format --dry-run -Werror $(CFILES)

analyze: ## clang-tidy and cppcheck
	$(Q)cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr \
	    --suppress=missingIncludeSystem -D_GNU_SOURCE -I. hsm fuse_hsm fan_hsm hsmctl harness workloads
	$(Q)clang-tidy --quiet $(filter %.c,$(CFILES)) -- $(CPPFLAGS) -std=gnu17

clean: ## remove the build, but for a libfuse built for it
	$(Q)rm -rf $(filter-out $(LIBFUSE) $(abspath $(LIBFUSE)),$(wildcard $(B)/*))

distclean: ## remove everything that was built
	$(Q)rm -rf $(B) $(LIBFUSE)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
