# qcowbench: the qcow2 engine, its image tool and the benchmark.
#
#   make                    both programs, optimised: build/qcowimg, build/qcowbench
#   make bench              measure preallocation policies on this disk (ARGS=)
#   make test               the tests, but for those of test-interop
#   make MODE=asan test     the same under ASan and UBSan (also: debug, tsan)
#   make test-interop       with QEMU's tools and block devices
#   make test-turns         turns against whole passes (FROM=, ROUNDS=; 3 min)
#   make test-aa            equal files: how often no pair differs (RUNS=1)
#   make test-newer-qemu    the interoperability with Debian 13's QEMU
#   make test-fresh         both quickstart commands on a bare Debian 12
#   make test-quick         the quick form on ext4 and xfs (loop devices, root)
#   make lint               formatting, clang-tidy, cppcheck, shellcheck
#   make format             rewrite the sources as lint wants them
#   make man                man pages and completions, build/MODE/share/
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
SHAREDIR   ?= $(PREFIX)/share
DATADIR    ?= $(SHAREDIR)/qcowbench
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
pkgs := jansson libgcrypt liburing zlib libzstd

# What the programs can do without; said when they are built.
ifeq ($(shell $(PKG_CONFIG) --exists libisal && echo yes),yes)
  override CPPFLAGS += -DHAVE_ISAL
  pkgs += libisal
else
  left_out += libisal (compressing is slower)
endif
# Asked once: += is expanded where it is used, which is for each object.
pkg_cflags := $(shell $(PKG_CONFIG) --cflags $(pkgs) 2>/dev/null)

ifeq ($(shell $(PKG_CONFIG) --exists libnbd && echo yes),yes)
  nbd_cflags := $(shell $(PKG_CONFIG) --cflags libnbd)
  override CPPFLAGS += -DHAVE_LIBNBD $(nbd_cflags)
  # Loaded when it is needed: harness/targets/nbd_lib.h.
  BENCH_LIBS := -ldl
else
  left_out += libnbd (targets nbd and qemu)
endif

override CPPFLAGS += -D_GNU_SOURCE -DQ2_VERSION='"$(VERSION)"' -I. \
                     $(pkg_cflags)
override CFLAGS   := -std=gnu11 -fPIC -fvisibility=hidden -fno-omit-frame-pointer \
                     $(CFLAGS.$(MODE)) $(WARN) -pthread $(CFLAGS)
override LDFLAGS  := $(filter -fsanitize%,$(CFLAGS.$(MODE))) -pthread $(LDFLAGS)
# As a shared library ASan takes half as long again to start, and so do scripts
# that start a program a thousand times.  clang's is static anyway; elsewhere than
# in Debian the static one may be a package of its own.
ifeq ($(MODE)$(findstring clang,$(CC)),asan)
  ifneq ($(findstring /,$(shell $(CC) -print-file-name=libasan.a)),)
    override LDFLAGS += -static-libasan -static-libubsan
  endif
endif
LDLIBS       := $(shell $(PKG_CONFIG) --libs $(pkgs) 2>/dev/null) -laio -lm
CMOCKA_LIBS  := $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null)

# --- what is built ----------------------------------------------------------
lib_src   := $(wildcard engine/*.c engine/base/*.c engine/co/*.c engine/aio/*.c \
                        engine/format/*.c engine/crypt/*.c engine/image/*.c \
                        engine/manage/*.c)
img_src   := $(wildcard engine/img/*.c)
bench_src := $(wildcard workloads/*.c harness/*.c harness/targets/*.c \
                        harness/stats/*.c results/*.c plots/*.c)
test_src  := $(wildcard tests/*/test_*.c)
# Programs that scripts of tests run other programs with.
tool_src  := $(filter-out tests/tools/hurry.c,$(wildcard tests/tools/*.c))
# Experiments on a real disk.
aa_src    := $(wildcard tests/aa/*.c)
# What tests share.
sim_src   := $(filter-out $(test_src) $(tool_src) $(aa_src), \
               $(wildcard tests/*.c tests/*/*.c))
sim_src   := $(filter-out tests/tools/%,$(sim_src))
# Files that are read at run time, below share/qcowbench.
data      := $(wildcard suites/*.ini plots/*.gp)
# Made of what the programs say about their options; where they are installed
# below share/.
pages       := $(patsubst docs/man/%.in,%,$(wildcard docs/man/*.in))
completions := $(foreach p,qcowimg qcowbench, \
                 bash-completion/completions/$p zsh/site-functions/_$p \
                 fish/vendor_completions.d/$p.fish)
share       := $(foreach p,$(pages),man/man$(lastword $(subst ., ,$p))/$p) \
               $(completions)
# main() of a program is in the file of its name; tests link the rest.
img_main   := engine/img/qcowimg.c
bench_main := harness/qcowbench.c

obj = $(patsubst %.c,$B/%.o,$(1))
lib   := $B/libq2.a
bench := $B/bench.a
img   := $B/img.a
sim   := $B/sim.a
tests := $(test_src:%.c=$B/%)
hurry := $B/tests/tools/hurry.so
tools := $(tool_src:%.c=$B/%) $(hurry)
aa    := $B/tests/aa/aa

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all man bench test test-interop test-quick test-turns test-aa test-fresh test-newer-qemu \
        lint format \
        install uninstall clean help \
        units FORCE

all: $B/qcowimg $B/qcowbench
ifdef left_out
	@echo 'left out, not installed: $(left_out)'
endif
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

# So is the commit, with + where the tree had changes; nothing outside git, nor in
# a tree that lies in somebody else's.
$B/commit.c: FORCE
	@mkdir -p $(@D)
	@[ -e .git ] && c=$$(git describe --always --exclude='*' --abbrev=12 \
	  --dirty=+ 2>/dev/null) || c=; \
	text="#include \"harness/commit.h\"\nconst char commit_built_from[] = \"$$c\";"; \
	printf "$$text\n" | cmp -s - $@ || printf "$$text\n" >$@
$B/commit.o: $B/commit.c $B/flags
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(lib):   $(call obj,$(lib_src))
$(img):   $(call obj,$(filter-out $(img_main),$(img_src)))
$(bench): $(call obj,$(filter-out $(bench_main),$(bench_src)))
$(sim):   $(call obj,$(sim_src))
%.a:
	@mkdir -p $(@D)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$B/qcowimg: $(call obj,$(img_main)) $(img) $(lib)
$B/qcowbench: $(call obj,$(bench_main)) $B/commit.o $(bench) $(lib)
$B/qcowbench: LDLIBS += $(BENCH_LIBS)
$B/qcowimg $B/qcowbench:
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Another commit is no reason to link a hundred tests again.
$(tests): %: %.o $(sim) $(bench) $(img) $(lib) | $B/commit.o
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $B/commit.o \
	  $(filter-out $<,$^) $(LDLIBS) $(BENCH_LIBS) $(CMOCKA_LIBS)

$(aa): $(call obj,$(aa_src)) $(bench) $(lib) | $B/commit.o
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $B/commit.o $^ $(LDLIBS) \
	  $(BENCH_LIBS)

$(filter-out $(hurry),$(tools)): %: %.o
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

# Loaded into others' programs: without what the mode adds.
$(hurry): tests/tools/hurry.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -Wall -fPIC -shared -o $@ $<

# --- man pages and completions ----------------------------------------------
$B/%.dump: $B/%
	$(call say,DUMP,$@)./$< help --dump >$@

# A page is about the program that its name begins with.
define man_rule
$B/share/man/man$(lastword $(subst ., ,$1))/$1: docs/man/$1.in docs/man/man.awk \
    $B/$(firstword $(subst -, ,$(subst ., ,$1))).dump
	@mkdir -p $$(@D)
	$$(call say,MAN,$$@)awk -v VERSION=$(VERSION) -f docs/man/man.awk \
	  $B/$(firstword $(subst -, ,$(subst ., ,$1))).dump $$< >$$@
endef
$(foreach p,$(pages),$(eval $(call man_rule,$p)))

complete = @mkdir -p $(@D) && \
  awk -v PROGRAM=$* -v SHELL=$(1) -f docs/completion/complete.awk $< >$@
$B/share/bash-completion/completions/%: $B/%.dump docs/completion/complete.awk
	$(call complete,bash)
$B/share/zsh/site-functions/_%: $B/%.dump docs/completion/complete.awk
	$(call complete,zsh)
$B/share/fish/vendor_completions.d/%.fish: $B/%.dump docs/completion/complete.awk
	$(call complete,fish)

man: $(share:%=$B/share/%)

# --- tests ------------------------------------------------------------------
units: $(tests) $(tools) $(aa)

# Tests of one thread on files in memory have no races to find, and a fiber
# switch costs TSan so much that they would take a quarter of an hour.
# The canaries test the crash test, not the engine: once is enough.
# Pictures are gnuplot's time, and runs that are killed are whole programs.
# Threads are the same whoever reads the images that they wrote.
# What is simulated, in memory, has one thread.
untested.tsan := $B/tests/crash/% $B/tests/fault/% $B/tests/fuzz/% \
                 $B/tests/model/% \
                 $B/tests/cli/test_texts $B/tests/unit/test_plots \
                 $B/tests/harness/test_resume $B/tests/harness/test_rounds
untested.asan := $B/tests/crash/test_canary $B/tests/unit/test_plots \
                 $B/tests/harness/test_resume $B/tests/harness/test_rounds
interop := $(filter $B/tests/interop/%,$(tests))
# Images of all kinds, whoever wrote them.
interop_too.asan := $B/tests/interop/test_matrix $B/tests/interop/test_golden
tested := $(filter-out $(interop) $(untested.$(MODE)),$(tests)) \
          $(interop_too.$(MODE))

# The sanitizers slow everything down: fewer rounds of the random tests.
scale.asan := 10
scale.tsan := 15

# In release all of them are built: a single one can be run by hand afterwards.
built.release := units
test: all $(or $(built.$(MODE)),$(tested) $(tools))
	@B=$B MODE=$(MODE) \
	  Q2_TEST_SCALE=$${Q2_TEST_SCALE:-$(or $(scale.$(MODE)),100)} sh tests/run.sh $(tested)

# Q2_WITH_QEMU: tests that are no part of it alone ask QEMU, too.
with_qemu := $B/tests/fault/test_fields
test-interop: all $(interop) $(with_qemu) $(tools)
	@B=$B MODE=$(MODE) Q2_WITH_QEMU=1 sh tests/run.sh --only \
	  $(wildcard tests/interop/*.sh) $(interop) $(with_qemu)

test-quick: all
	B=$B sh tests/quick.sh

test-newer-qemu: all $(interop)
	@B=$B MODE=$(MODE) sh tests/newer-qemu.sh

test-fresh:
	sh tests/fresh.sh

lint:
	sh tests/lint.sh

format:
	clang-format -i $$(git ls-files '*.[ch]')

# --- measuring --------------------------------------------------------------
# On the disk of the folder FROM, which gets the results too.
FROM ?= .

ROUNDS ?= 16
RUNS   ?= 1

test-turns: all $(aa)
	$(aa) turns --program $B/qcowbench --dir "$(FROM)" --rounds $(ROUNDS) $(ARGS)

test-aa: all $(aa)
	$(aa) labels --program $B/qcowbench --dir "$(FROM)" --runs $(RUNS) $(ARGS)

# A verdict that cannot tell (4) is an answer, not a failure.
bench: all
	cd "$(FROM)" && { "$(CURDIR)"/build/qcowbench run preallocation --quick \
	  $(ARGS) || [ $$? -eq 4 ]; }

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
            $(data:%=$(DATADIR)/%) $(share:%=$(SHAREDIR)/%)
put = $(INSTALL) -D -m

install: all man $B/install/libq2.a
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
	set -e; for f in $(share); do \
	  $(put) 644 $B/share/$$f $(DESTDIR)$(SHAREDIR)/$$f; done

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
-include $(shell find $B -type f -name '*.d' 2>/dev/null)
