# SPDX-License-Identifier: MIT
# kerf: build, tests, installation. README.md says how; `make help` lists targets.
#
# Honours CC, AR, CFLAGS, CPPFLAGS, LDFLAGS, CROSS_COMPILE, PKG_CONFIG, DESTDIR,
# prefix, libdir, O (build folder), CLANG, BPFTOOL and WITH_CURL, WITH_MICROHTTPD, WITH_DRM,
# WITH_BPF, WITH_NCURSES = auto|yes|no.

VERSION := 0.1.0
SOVERSION := 0

O ?= build
prefix ?= /usr/local
exec_prefix ?= $(prefix)
bindir ?= $(exec_prefix)/bin
libdir ?= $(exec_prefix)/lib
includedir ?= $(prefix)/include
mandir ?= $(prefix)/share/man

ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
ifeq ($(origin AR),default)
AR := $(CROSS_COMPILE)ar
endif
PROTOC_C ?= protoc-c

TRIPLET := $(shell $(CC) -dumpmachine)
ARCH := $(firstword $(subst -, ,$(TRIPLET)))

# Debian's cross compilers bring no pkg-config of their own: point the native one at
# the foreign architecture's folder.
ifneq ($(CROSS_COMPILE),)
ifeq ($(shell command -v $(CROSS_COMPILE)pkg-config),)
PKG_CONFIG ?= PKG_CONFIG_LIBDIR=/usr/lib/$(TRIPLET)/pkgconfig:/usr/share/pkgconfig pkg-config
endif
endif
PKG_CONFIG ?= $(CROSS_COMPILE)pkg-config

CFLAGS ?= -O2 -g
KERF_CFLAGS := -std=gnu11 -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow \
	-Wvla -Wno-unused-parameter -ffp-contract=off -fno-math-errno -fno-trapping-math \
	-fvisibility=hidden -fPIC -pthread -ffile-prefix-map=$(CURDIR)=. $(EXTRA_CFLAGS)
KERF_CPPFLAGS := -D_GNU_SOURCE -DKERF_VERSION='"$(VERSION)"' -Iruntime -Iuapi -Ibpf -I$(O)/gen
LIBS := -lm -pthread

# --- dependencies -----------------------------------------------------------

NEEDED := libprotobuf-c json-c nettle
have = $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && echo yes)
found = $(shell command -v $(1) 2>/dev/null)
# $(call feature,NAME,pkg,tools): sets WITH_NAME to yes or no; yes asked and absent is an error
define feature
WITH_$(1) ?= auto
ifneq ($$(WITH_$(1)),no)
ifeq ($$(call have,$(2))$(foreach t,$(3),$(if $(call found,$(t)),,no)),yes)
override WITH_$(1) := yes
PKGS += $(2)
KERF_CPPFLAGS += -DWITH_$(1)
else ifeq ($$(WITH_$(1)),yes)
$$(error WITH_$(1)=yes but not found: $(2) (by pkg-config)$(foreach t,$(3), or $(t)); `make deps` installs it)
else
override WITH_$(1) := no
endif
endif
endef
PKGS := $(NEEDED)
$(eval $(call feature,CURL,libcurl))
$(eval $(call feature,MICROHTTPD,libmicrohttpd))
$(eval $(call feature,DRM,libdrm))
# BPF programs are compiled by clang whatever compiles the rest; Debian puts bpftool in sbin.
CLANG ?= clang
BPFTOOL ?= $(or $(call found,bpftool),$(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool),bpftool)
$(eval $(call feature,BPF,libbpf,$(CLANG) $(BPFTOOL)))
# For kerf's own screen (kerf top), not for the library
WITH_NCURSES ?= auto
ifneq ($(WITH_NCURSES),no)
NCURSES := $(firstword $(foreach p,ncursesw ncurses,$(if $(call have,$(p)),$(p))))
ifneq ($(NCURSES),)
override WITH_NCURSES := yes
KERF_CPPFLAGS += -DWITH_NCURSES
else ifeq ($(WITH_NCURSES),yes)
$(error WITH_NCURSES=yes but pkg-config finds neither ncursesw nor ncurses; `make deps` installs it)
else
override WITH_NCURSES := no
endif
endif
NO_BUILD_GOALS := help clean deps demo check asan kmod kmod-test kmod-install kmod-dkms kernels kernel-tests kernel-check kmod-lint vm-check vm-bench uml-check
ifneq ($(if $(MAKECMDGOALS),$(filter-out $(NO_BUILD_GOALS),$(MAKECMDGOALS)),all),)
$(foreach p,$(NEEDED),$(if $(call have,$(p)),,$(error $(p) not found by $(PKG_CONFIG); `make deps` installs it)))
KERF_CFLAGS += $(shell $(PKG_CONFIG) --cflags $(PKGS))
LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS)) $(LIBS)
ifeq ($(WITH_NCURSES),yes)
NCURSES_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(NCURSES))
NCURSES_LIBS := $(shell $(PKG_CONFIG) --libs $(NCURSES))
endif
endif

# --- sources ----------------------------------------------------------------

ROOMS := util graph cost plan exec telemetry net steer sim node
SRC := runtime/api.c $(wildcard $(ROOMS:%=runtime/%/*.c))
CLI_SRC := $(wildcard runtime/cli/*.c)
ifneq ($(WITH_NCURSES),yes)
CLI_SRC := $(filter-out runtime/cli/top_screen.c,$(CLI_SRC))
endif
ifneq ($(WITH_DRM),yes)
SRC := $(filter-out runtime/exec/queue% runtime/node/serve_queue.c,$(SRC))
endif
ifneq ($(WITH_BPF),yes)
SRC := $(filter-out runtime/telemetry/bpf_%,$(SRC))
endif

# Kernels compiled once for each instruction set they may meet; cpu_dispatch picks.
ISA_SRC := $(filter runtime/exec/isa_%,$(SRC))
SRC := $(filter-out $(ISA_SRC),$(SRC))
ifeq ($(ARCH),x86_64)
ISAS := baseline avx2 avx512
isa_avx2 := -mavx2 -mfma -mf16c
isa_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512
else ifeq ($(ARCH),aarch64)
ISAS := neon
else
ISAS := baseline
endif

OBJ := $(SRC:runtime/%.c=$(O)/%.o) $(O)/gen/onnx.pb-c.o \
	$(foreach i,$(ISAS),$(ISA_SRC:runtime/%.c=$(O)/%.$(i).o))
CLI_OBJ := $(CLI_SRC:runtime/%.c=$(O)/%.o)
LIB := $(O)/libkerf.a

all: $(O)/kerf $(O)/libkerf.so

$(O)/gen/onnx.pb-c.c $(O)/gen/onnx.pb-c.h &: runtime/graph/onnx.proto
	@mkdir -p $(O)/gen
	$(PROTOC_C) --proto_path=runtime/graph --c_out=$(O)/gen onnx.proto

$(O)/gen/onnx.pb-c.o: $(O)/gen/onnx.pb-c.c
	$(CC) $(KERF_CPPFLAGS) $(CPPFLAGS) $(KERF_CFLAGS) $(CFLAGS) -c -o $@ $<

COMPILE = $(CC) $(KERF_CPPFLAGS) $(CPPFLAGS) $(KERF_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.o: runtime/%.c | $(O)/gen/onnx.pb-c.h
	@mkdir -p $(@D)
	$(COMPILE)

# bpf/x.bpf.c -> an object for the kernel's verifier -> a header with it, for telemetry/bpf_*.c.
# The headers are those that $(CC) sees: clang's BPF target has no folder for an architecture.
BPF_SKEL := $(patsubst bpf/%.bpf.c,$(O)/gen/%.skel.h,$(wildcard bpf/*.bpf.c))
BPF_CPPFLAGS = -Ibpf $(shell $(PKG_CONFIG) --cflags libbpf) $(shell $(CC) $(CPPFLAGS) -v -E -x c \
	/dev/null 2>&1 | sed -n '/^#include </,/^End/s/^ /-idirafter /p')
BPF_CFLAGS ?= -O2 -g

# `gen object` leaves the types in and the rest of the debugging information out.
$(O)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) -target bpf -mcpu=v3 -std=gnu11 -Wall -Wextra -Wno-unused-parameter \
		-ffile-prefix-map=$(CURDIR)=. $(BPF_CPPFLAGS) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ \
		-c -o $@.tmp $<
	$(BPFTOOL) gen object $@ $@.tmp && rm -f $@.tmp

$(O)/gen/%.skel.h: $(O)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(BPFTOOL) gen skeleton $< name $(subst .,_,$*)_bpf >$@.tmp && mv $@.tmp $@

ifeq ($(WITH_BPF),yes)
$(patsubst runtime/%.c,$(O)/%.o,$(filter runtime/telemetry/bpf_%,$(SRC))): | $(BPF_SKEL)
endif

define isa_rule
$(O)/%.$(1).o: runtime/%.c | $(O)/gen/onnx.pb-c.h
	@mkdir -p $$(@D)
	$$(COMPILE) $$(isa_$(1)) -DKERF_ISA=$(1) -DKERF_ISA_$(1)
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

$(LIB): $(OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(O)/libkerf.so.$(SOVERSION): $(OBJ) runtime/libkerf.map
	$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=runtime/libkerf.map \
		-Wl,--no-undefined $(KERF_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJ) $(LIBS)

$(O)/libkerf.so: $(O)/libkerf.so.$(SOVERSION)
	ln -sf $(<F) $@

$(O)/cli/top_screen.o: KERF_CPPFLAGS += $(NCURSES_CFLAGS)

$(O)/kerf: $(CLI_OBJ) $(LIB)
	$(CC) $(KERF_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(NCURSES_LIBS) $(LIBS)

# --- tests ------------------------------------------------------------------

UNIT := $(patsubst tests/unit/%.c,$(O)/tests/unit/%,$(wildcard tests/unit/test_*.c))
OPS := $(patsubst tests/ops/%.c,$(O)/tests/ops/%,$(wildcard tests/ops/test_*.c))

TEST_LIBS = $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null || echo -lcmocka)

# tests/<kind>/test_x.c is one program; helpers of a kind stand in tests/<kind>/*.h
$(O)/tests/%: tests/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(KERF_CPPFLAGS) $(CPPFLAGS) -Itests $(KERF_CFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) \
		-o $@ $< $(LIB) $(TEST_LIBS) $(LIBS)

# The kerf NPU as a process beside QEMU (docs/npu.md), and tests of its parts
NPU_SRC := $(wildcard tests/npu_model/*.c)
NPU_LIB := $(O)/libnpu-model.a

$(O)/tests/npu_model/%.o: tests/npu_model/%.c | $(O)/gen/onnx.pb-c.h
	@mkdir -p $(@D)
	$(CC) $(KERF_CPPFLAGS) $(CPPFLAGS) -I. $(KERF_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(NPU_LIB): $(patsubst %.c,$(O)/%.o,$(filter-out %/main.c,$(NPU_SRC)))
	@rm -f $@
	$(AR) rcs $@ $^

$(O)/npu-model: $(O)/tests/npu_model/main.o $(NPU_LIB) $(LIB)
	$(CC) $(KERF_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

npu-model: $(O)/npu-model

NPU_TESTS := $(filter $(O)/tests/ops/test_npu_%,$(OPS)) $(filter $(O)/tests/unit/test_npu_%,$(UNIT))
$(NPU_TESTS) $(O)/tests/fuzz/fuzz_npu: $(NPU_LIB)
$(NPU_TESTS) $(O)/tests/fuzz/fuzz_npu: KERF_CPPFLAGS += -I.
$(NPU_TESTS) $(O)/tests/fuzz/fuzz_npu: LIBS := $(NPU_LIB) $(LIB) $(LIBS)
$(O)/tests/fuzz/fuzz_uapi: KERF_CPPFLAGS += -I/usr/include/drm

# Which BPF objects work here
$(O)/tests/net/bpf_try: tests/net/bpf_try.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(KERF_CPPFLAGS) $(CPPFLAGS) $(KERF_CFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

# An application of libkerf's
$(O)/tests/net/replan_app: tests/net/replan_app.c $(O)/libkerf.so
	@mkdir -p $(@D)
	$(CC) -Iruntime $(CPPFLAGS) $(KERF_CFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< -L$(O) -lkerf \
		-Wl,-rpath,$(abspath $(O))

# The emulated network (docs/telemetry.md); the scripts of tests/net/ make what they use of it.
$(O)/tests/net/%: tests/net/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE $(CPPFLAGS) -std=gnu11 -Wall -Wextra -Wmissing-prototypes \
		-Wstrict-prototypes -Wshadow $(CFLAGS) $(LDFLAGS) -o $@ $<

$(O)/tests/net/%.bpf.o: tests/net/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) -target bpf -O2 -g -Wall -Wextra -I/usr/include/$(TRIPLET) -c -o $@ $<

# tests/fuzz/fuzz_x.c is one program, linked with the driver in main.c
FUZZ := $(patsubst tests/fuzz/%.c,$(O)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

$(O)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/main.c tests/fuzz/fuzz.h $(LIB)
	@mkdir -p $(@D)
	$(CC) $(KERF_CPPFLAGS) $(CPPFLAGS) -Itests -idirafter /usr/include/drm $(KERF_CFLAGS) $(CFLAGS) \
		$(LDFLAGS) -o $@ $< tests/fuzz/main.c $(LIB) $(LIBS)

# What the tools make of a state and of a trace
$(O)/tests/fuzz/fuzz_state: $(patsubst %,$(O)/cli/%.o,top_sample top_print top_json)
$(O)/tests/fuzz/fuzz_state: LIBS := $(patsubst %,$(O)/cli/%.o,top_sample top_print top_json) $(LIB) $(LIBS)
$(O)/tests/fuzz/fuzz_trace: $(patsubst %,$(O)/cli/%.o,report_data report_svg svg)
$(O)/tests/fuzz/fuzz_trace: LIBS := $(patsubst %,$(O)/cli/%.o,report_data report_svg svg) $(LIB) $(LIBS)

# It has the module's checks in it.
$(O)/tests/fuzz/fuzz_kmod: $(wildcard kmod/kerf_validate.*) uapi/kerf_accel.h

fuzz-programs: $(FUZZ)

# Further seeds: models that Debian's libonnx-testdata brings
FUZZ_CORPUS ?= $(wildcard /usr/share/libonnx-testdata/data/*/*/model.onnx)
FUZZ_SECONDS ?= 60

# Each fuzzer for FUZZ_SECONDS, guided by coverage, under ASan and UBSan
fuzz:
	$(MAKE) O=$(O)-fuzz CFLAGS="-O1 -g -fsanitize=address,undefined \
		-fno-sanitize-recover=undefined -fsanitize-coverage=trace-pc" \
		LDFLAGS="-fsanitize=address,undefined" fuzz-programs
	@set -e; for f in $(FUZZ:$(O)/%=$(O)-fuzz/%); do \
		$$f --seconds $(FUZZ_SECONDS) $(if $(FUZZ_CORPUS),$$(case $$f in \
		*onnx*) echo $(FUZZ_CORPUS);; esac)); done

# tests/bench/x.c is one program that a script beside it runs
BENCH := $(patsubst tests/bench/%.c,$(O)/tests/bench/%,$(wildcard tests/bench/*.c))
$(BENCH): TEST_LIBS =

bench-programs: $(BENCH)

# Programs that tests/cli/*.sh run
CLI_HELPERS := $(patsubst tests/%.c,$(O)/tests/%,$(wildcard tests/cli/*.c))

tests: $(UNIT) $(OPS) $(CLI_HELPERS) $(O)/npu-model

# --- the kernel module ----------------------------------------------------------

# Of the running kernel unless KDIR says otherwise
KDIR ?= /lib/modules/$(shell uname -r)/build
KRELEASE = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$(KDIR)/include/generated/utsrelease.h" 2>/dev/null)
KERNELS ?= 6.1 6.12

KBUILD = env -u CC -u CFLAGS -u CPPFLAGS -u LDFLAGS -u MAKEFLAGS -u O $(MAKE) \
	$(if $(findstring s,$(firstword -$(MAKEFLAGS))),-s) $(filter -j%,$(MAKEFLAGS)) \
	-C "$(KDIR)" M="$$(cd "$$dir" && pwd)" $(KMOD_ARGS) modules

# Links to the sources in a folder per kernel, so that builds for two kernels keep apart.
# kbuild decides what is out of date; $(CC) and the flags are the kernel's own.
kmod:
	@[ -n "$(KRELEASE)" ] || { echo "kmod: KDIR=$(KDIR): no headers of a built kernel there" >&2; exit 1; }
	@dir="$(O)/kmod/$(KRELEASE)" && \
	mkdir -p "$$dir" && find "$$dir" -type l -delete && \
	cp -as "$(CURDIR)/Kbuild" "$(CURDIR)/kmod" "$(CURDIR)/uapi" "$$dir" && \
	$(KBUILD) && echo "$$dir/kmod/kerf.ko"

# A scheduler's jobs without a GPU, for guest_telemetry: its module for KDIR
kmod-test:
	@dir="$(O)/kmod-test/$(KRELEASE)" && \
	mkdir -p "$$dir" && find "$$dir" -type l -delete && \
	cp -as "$(CURDIR)"/tests/kernel/gpu_jobs/* "$$dir" && $(KBUILD)

# For one kernel: its tree under DESTDIR
kmod-install: kmod
	install -D -m 644 $(O)/kmod/$(KRELEASE)/kmod/kerf.ko $(DESTDIR)/lib/modules/$(KRELEASE)/extra/kerf.ko
	install -D -m 644 packaging/udev/60-kerf.rules $(DESTDIR)/lib/udev/rules.d/60-kerf.rules
	install -D -m 644 packaging/sysusers/kerf.conf $(DESTDIR)/usr/lib/sysusers.d/kerf.conf

# For every kernel that DKMS knows: the sources; then `dkms add kerf/$(VERSION)`
kmod-dkms:
	install -d $(DESTDIR)/usr/src/kerf-$(VERSION)/kmod $(DESTDIR)/usr/src/kerf-$(VERSION)/uapi
	install -m 644 Kbuild $(DESTDIR)/usr/src/kerf-$(VERSION)
	install -m 644 kmod/* $(DESTDIR)/usr/src/kerf-$(VERSION)/kmod
	install -m 644 uapi/* $(DESTDIR)/usr/src/kerf-$(VERSION)/uapi
	sed 's|@VERSION@|$(VERSION)|' packaging/dkms/dkms.conf.in >$(DESTDIR)/usr/src/kerf-$(VERSION)/dkms.conf
	install -D -m 644 packaging/udev/60-kerf.rules $(DESTDIR)/lib/udev/rules.d/60-kerf.rules
	install -D -m 644 packaging/sysusers/kerf.conf $(DESTDIR)/usr/lib/sysusers.d/kerf.conf

# Debian's kernels, unpacked under $(O)/kernels
kernels:
	@O=$(O) tests/kernel/kernels.sh fetch $(KERNELS)

# tests/kernel/test_x.c is one static KTAP program
KERNEL_TESTS := $(patsubst tests/%.c,$(O)/tests/%,$(wildcard tests/kernel/test_*.c tests/kernel/bench_*.c))

$(O)/tests/kernel/%: tests/kernel/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -Iuapi -Itests/kernel \
		$(or $(shell $(PKG_CONFIG) --cflags libdrm 2>/dev/null),-I/usr/include/drm) $(CPPFLAGS) -std=gnu11 -Wall -Wextra \
		-Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wno-unused-parameter -pthread \
		$(CFLAGS) -MMD -MP -static $(LDFLAGS) -o $@ $<

kernel-tests: $(KERNEL_TESTS)

# KTAP programs that drive devices as those do, and have the runtime besides
TELEMETRY_TESTS := $(patsubst tests/%.c,$(O)/tests/%,$(wildcard tests/telemetry/test_*.c))
$(TELEMETRY_TESTS): KERF_CPPFLAGS += -Itests/kernel \
	$(or $(shell $(PKG_CONFIG) --cflags libdrm 2>/dev/null),-I/usr/include/drm)

telemetry-tests: $(TELEMETRY_TESTS)

# They run in a guest of each kernel, or on this machine against the module that is loaded (as root)
vm-check:
	packaging/deps.sh build kernel
	@O=$(O) MAKE="$(MAKE)" KERNELS="$(KERNELS)" tests/check.sh kernel

# Nothing to say for W=1, sparse, kernel-doc and checkpatch
kmod-lint:
	@O=$(O) MAKE="$(MAKE)" tests/kernel/lint.sh

kernel-check: kernel-tests
	@O=$(O) tests/kernel/host.sh

# The same tests on a kernel that watches memory and locks, and injects faults. It is built once
# into $(O)/kernels/uml; a skip (status 77) says what is missing.
uml-check:
	@O=$(O) MAKE="$(MAKE)" KERF_VM_TIMEOUT=$${KERF_VM_TIMEOUT:-1500} KERF_VM_LIMIT=$${KERF_VM_LIMIT:-400} \
		tests/kernel/vm.sh --kernel uml --check

# What the queues cost and how they share, in a guest
vm-bench:
	@O=$(O) MAKE="$(MAKE)" tests/kernel/vm.sh --run \
		'for b in "bench_queue sim" "bench_queue npu" bench_user; do echo "$$b"; $(O)/tests/kernel/$$b; done'

# --- what people run ----------------------------------------------------------

# Installs build and demo dependencies (Debian, as root)
deps:
	packaging/deps.sh build demo
	-packaging/deps.sh bpf

# Every test; what cannot run here is skipped and says why
check:
	packaging/deps.sh build
	-packaging/deps.sh bpf
	-packaging/deps.sh test arm64
	-packaging/deps.sh kernel
	@O=$(O) MAKE="$(MAKE)" tests/check.sh $(STAGES)

# A model split over two nodes on this box
demo:
	packaging/deps.sh build
	-packaging/deps.sh bpf
	-packaging/deps.sh demo
	@$(MAKE) -s all
	@O=$(O) tests/net/demo.sh

# The figures of docs/benchmarks.md
bench: all bench-programs
	O=$(O) tests/bench/bench.sh

# How long planning takes; models of PLAN_MODELS besides
bench-plan: $(O)/tests/bench/plan_speed
	$< $(PLAN_MODELS)

# Policy kerf against the best of all assignments, on 10,000 random problems
plan-oracle: $(O)/tests/bench/plan_oracle
	$< 10000

# Simulated against measured latency; every policy on real hosts (hours)
bench-fidelity: all
	O=$(O) tests/bench/fidelity.sh

bench-policies: all
	O=$(O) tests/bench/policies.sh

# Unit and operator tests under the sanitizers
asan:
	@O=$(O) MAKE="$(MAKE)" tests/check.sh asan fuzz

install: all
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(includedir)
	install -m 755 $(O)/kerf $(DESTDIR)$(bindir)/kerf
	ln -sf kerf $(DESTDIR)$(bindir)/kerfd
	install -m 644 $(LIB) $(DESTDIR)$(libdir)
	install -m 755 $(O)/libkerf.so.$(SOVERSION) $(DESTDIR)$(libdir)
	ln -sf libkerf.so.$(SOVERSION) $(DESTDIR)$(libdir)/libkerf.so
	install -m 644 runtime/kerf.h $(DESTDIR)$(includedir)
	install -D -m 644 -t $(DESTDIR)$(includedir)/kerf uapi/*.h
	sed -e 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|' \
		-e 's|@version@|$(VERSION)|; s|@requires@|$(PKGS)|' packaging/kerf.pc.in \
		>$(DESTDIR)$(libdir)/pkgconfig/kerf.pc

help:
	@echo "all      kerf, libkerf            check    every test"
	@echo "deps     install dependencies     asan     tests and fuzzers under sanitizers"
	@echo "demo     two nodes on this box    fuzz     each fuzzer for FUZZ_SECONDS"
	@echo "install  DESTDIR, prefix, libdir  bench    the figures of docs/benchmarks.md"
	@echo "bench-fidelity, bench-policies: simulated and measured; all policies on real hosts"
	@echo "npu-model: the kerf NPU, for QEMU"
	@echo "kmod     kerf.ko for KDIR         vm-check kernel tests in guests"
	@echo "kernels  fetch Debian's kernels   kmod-lint, kernel-check, uml-check: docs/kernel-testing.md"
	@echo "cross:   make CROSS_COMPILE=aarch64-linux-gnu- O=build-arm64"

clean:
	rm -rf $(O)

.PHONY: all tests plan-oracle bench-plan kmod kmod-test telemetry-tests kmod-install kmod-dkms kernels kernel-tests kernel-check kmod-lint vm-check vm-bench uml-check deps check demo bench bench-fidelity bench-policies asan install help fuzz fuzz-programs bench-programs clean
.SECONDARY:
-include $(shell find $(O) -path '$(O)/kernels' -prune -o -type f -name '*.d' -print 2>/dev/null)
