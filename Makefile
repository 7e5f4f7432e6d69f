# qcowbench: the qcow2 engine, its image tool and the benchmark.
#
#   make                    both programs, optimised: build/qcowimg, build/qcowbench
#   make bench              measure preallocation policies on this disk (ARGS=)
#   make test               every test that needs no network, as in CI
#   make MODE=asan test     the same under ASan and UBSan (also: debug, tsan)
#   make test-fresh         both quickstart commands on a bare Debian 12
#   make lint               formatting, clang-tidy, cppcheck, shellcheck
#   make format             rewrite the sources as lint wants them
#   make install            PREFIX=/usr/local DESTDIR=
#   make uninstall          remove what install has put there
#   make clean              remove build/
#   make help               this list
#
# One Makefile, one dependency graph; modes are folders below build/.

VERSION := 0.1.0

PREFIX     ?= /usr/local
DESTDIR    ?=
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR    ?= $(PREFIX)/share/qcowbench
PKG_CONFIG ?= pkg-config
INSTALL    ?= install
OBJCOPY    ?= objcopy
MODE       ?= release
B          := build/$(MODE)

# --- flags ------------------------------------------------------------------
# Assertions stay on in every mode: better to stop than to write nonsense.
CFLAGS.release := -O2 -g
CFLAGS.debug   := -O0 -g3
CFLAGS.asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS.tsan    := -O1 -g -fsanitize=thread
ifeq ($(origin CFLAGS.$(MODE)),undefined)
  $(error MODE must be one of release debug asan tsan, not "$(MODE)")
endif

WARN := -Wall -Wextra -Wshadow -Wvla -Wundef -Wpointer-arith \
        -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings
ifdef WERROR
  WARN += -Werror
endif

# libaio has no .pc file.
pkgs := jansson libgcrypt liburing

override CPPFLAGS += -D_GNU_SOURCE -DQ2_VERSION='"$(VERSION)"' -I. \
                     $(shell $(PKG_CONFIG) --cflags $(pkgs) 2>/dev/null)
override CFLAGS   := -std=gnu11 -fPIC -fvisibility=hidden -fno-omit-frame-pointer \
                     $(CFLAGS.$(MODE)) $(WARN) -pthread $(CFLAGS)
override LDFLAGS  := $(filter -fsanitize%,$(CFLAGS.$(MODE))) -pthread $(LDFLAGS)
LDLIBS       := $(shell $(PKG_CONFIG) --libs $(pkgs) 2>/dev/null) -laio -lm
CMOCKA_LIBS   = $(shell $(PKG_CONFIG) --libs cmocka)

# --- what is built ----------------------------------------------------------
lib_src   := $(wildcard engine/*.c engine/base/*.c engine/co/*.c engine/aio/*.c \
                        engine/format/*.c engine/image/*.c engine/manage/*.c)
img_src   := $(wildcard engine/img/*.c)
bench_src := $(wildcard workloads/*.c harness/*.c harness/targets/*.c \
                        harness/stats/*.c results/*.c plots/*.c)
test_src  := $(wildcard tests/*/test_*.c)
# Programs that scripts of tests run other programs with.
tool_src  := $(wildcard tests/tools/*.c)
# What tests share.
sim_src   := $(filter-out $(test_src) $(tool_src), \
               $(wildcard tests/*.c tests/*/*.c))
# Files that are read at run time, below share/qcowbench.
data      := $(wildcard suites/*.ini plots/*.gp)
# main() of a program is in the file of its name; tests link the rest.
img_main   := engine/img/qcowimg.c
bench_main := harness/qcowbench.c

obj = $(patsubst %.c,$B/%.o,$(1))
lib   := $B/libq2.a
bench := $B/bench.a
img   := $B/img.a
sim   := $B/sim.a
tests := $(test_src:%.c=$B/%)
tools := $(tool_src:%.c=$B/%)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all bench test test-fresh lint format install uninstall clean help \
        units FORCE

all: $B/qcowimg $B/qcowbench
ifeq ($(MODE),release)
all: build/qcowimg build/qcowbench
build/qcowimg build/qcowbench: build/%: $B/%
	@ln -sfn release/$* $@
endif

# --- rules ------------------------------------------------------------------
ifneq ($(V),1)
  say = @printf '  %-5s %s\n' $(1) $(2);
endif

# Objects depend on the exact command line, so a changed flag rebuilds them.
$B/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS)' | cmp -s - $@ || \
	 echo '$(CC) $(CPPFLAGS) $(CFLAGS)' > $@

$B/%.o: %.c $B/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The scripts of the plots are inside the program.
$B/plots/scripts.o: $(wildcard plots/*.gp)

# So are the suites.
$B/harness/suites.o: $(wildcard suites/*.ini)

$(lib):   $(call obj,$(lib_src))
$(img):   $(call obj,$(filter-out $(img_main),$(img_src)))
$(bench): $(call obj,$(filter-out $(bench_main),$(bench_src)))
$(sim):   $(call obj,$(sim_src))
%.a:
	@mkdir -p $(@D)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$B/qcowimg: $(call obj,$(img_main)) $(img) $(lib)
$B/qcowbench: $(call obj,$(bench_main)) $(bench) $(lib)
$B/qcowimg $B/qcowbench:
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(tests): %: %.o $(sim) $(bench) $(img) $(lib)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(CMOCKA_LIBS)

$(tools): %: %.o
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

# --- tests ------------------------------------------------------------------
units: $(tests) $(tools)

# Tests of one thread on files in memory have no races to find, and a fiber
# switch costs TSan so much that they would take a quarter of an hour.
# The canaries test the crash test, not the engine: once is enough.
untested.tsan := $B/tests/crash/% $B/tests/fault/%
untested.asan := $B/tests/crash/test_canary
tested := $(filter-out $(untested.$(MODE)),$(tests))

test: all $(tested) $(tools)
	@B=$B MODE=$(MODE) sh tests/run.sh $(tested)

test-fresh:
	sh tests/fresh.sh

lint:
	sh tests/lint.sh

format:
	clang-format -i $$(git ls-files '*.[ch]')

# --- measuring --------------------------------------------------------------
# On the disk of the folder FROM, which gets the results too.
FROM ?= .

bench: all
	cd "$(FROM)" && "$(CURDIR)"/build/qcowbench run preallocation --quick $(ARGS)

# --- install ----------------------------------------------------------------
# One object in which only the public names are left, so that a program that
# links the library may use any others.
$B/install/libq2.a: $(lib)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LD) -r -o $(@D)/q2.o $(call obj,$(lib_src)) && \
	$(OBJCOPY) -w --keep-global-symbol='q2_*' $(@D)/q2.o && \
	rm -f $@ && $(AR) rcs $@ $(@D)/q2.o

define pc
prefix=$(PREFIX)
includedir=$(INCLUDEDIR)/qcowbench
libdir=$(LIBDIR)

Name: q2
Description: qcow2 engine of qcowbench
Version: $(VERSION)
Cflags: -I$${includedir}
Libs: -L$${libdir} -lq2
Libs.private: $(LDLIBS) -pthread
endef
export pc

installed = $(BINDIR)/qcowimg $(BINDIR)/qcowbench $(LIBDIR)/libq2.a \
            $(LIBDIR)/pkgconfig/q2.pc $(INCLUDEDIR)/qcowbench/q2.h \
            $(INCLUDEDIR)/qcowbench/base/points.def \
            $(data:%=$(DATADIR)/%)
put = $(INSTALL) -D -m

install: all $B/install/libq2.a
	$(put) 755 $B/qcowimg $(DESTDIR)$(BINDIR)/qcowimg
	$(put) 755 $B/qcowbench $(DESTDIR)$(BINDIR)/qcowbench
	$(put) 644 $B/install/libq2.a $(DESTDIR)$(LIBDIR)/libq2.a
	@printf '%s\n' "$$pc" >$B/install/q2.pc
	$(put) 644 $B/install/q2.pc $(DESTDIR)$(LIBDIR)/pkgconfig/q2.pc
	$(put) 644 engine/q2.h $(DESTDIR)$(INCLUDEDIR)/qcowbench/q2.h
	$(put) 644 engine/base/points.def \
	  $(DESTDIR)$(INCLUDEDIR)/qcowbench/base/points.def
	set -e; for f in $(data); do \
	  $(put) 644 $$f $(DESTDIR)$(DATADIR)/$$f; done

# Folders that are ours alone go too.
uninstall:
	rm -f $(installed:%=$(DESTDIR)%)
	-rmdir -p --ignore-fail-on-non-empty 2>/dev/null \
	  $(sort $(dir $(data:%=$(DESTDIR)$(DATADIR)/%))) \
	  $(DESTDIR)$(INCLUDEDIR)/qcowbench/base

clean:
	rm -rf build

help:
	@sed -n 's/^#   \(make.*\)/  \1/p' Makefile

FORCE:
-include $(shell find $B -name '*.d' 2>/dev/null)
