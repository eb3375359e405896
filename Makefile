# kvpipe: one Makefile for the whole tree. Objects, libraries and programs go to $(B); `make help` lists the targets.
# Variables: CC, SAN=address,undefined (sanitizers), B=build directory, V=1 (show commands), WERROR=1, T=test to run.

VERSION := 0.1.0
B ?= build
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' '$(1)' '$(2)';)
DESTDIR ?=
PREFIX ?= /usr/local
PKGS := libevent libevent_openssl libevent_pthreads libzmq libprotobuf-c libcurl openssl jansson yaml-0.1 zlib \
	sqlite3 libsystemd libseccomp gstreamer-1.0 gstreamer-app-1.0 gstreamer-video-1.0 gstreamer-audio-1.0
STAGES := capture encoder muxer uploader monitor server
DIRS := media common $(STAGES) cli

# These goals do without the libraries, or install them first and then call make again.
EARLY_GOALS := help clean format install-deps run test bench sim fuzz asan lint
ifneq ($(filter-out $(EARLY_GOALS),$(or $(MAKECMDGOALS),all)),)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
ifeq ($(PKG_LIBS),)
$(error libraries to build with are missing here; `make install-deps` installs them)
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS))
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DKVPIPE_VERSION='"$(VERSION)"' $(WARN) $(if $(WERROR),-Werror) \
	-fPIC -fno-semantic-interposition -fno-omit-frame-pointer -fstack-protector-strong $(CFLAGS) -I. -I$(B) -isystem /usr/share/include/llhttp $(PKG_CFLAGS)
ALL_LDFLAGS := $(LDFLAGS)
LIBS := $(PKG_LIBS) -lpthread -lm
ifdef SAN
ALL_CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all
ALL_LDFLAGS += -fsanitize=$(SAN)
endif

include $(wildcard $(addsuffix /module.mk,$(DIRS)))

# What the library for programs needs besides libc; its number grows when programs must be built anew.
LIBKVPIPE_SO := libkvpipe.so.0
LIBKVPIPE_LIBS := $(if $(PKG_LIBS),$(shell pkg-config --libs libzmq libprotobuf-c libevent_core))
LIBDIR ?= $(PREFIX)/lib
LIBKVPIPE := $(addprefix $(B)/lib/,libkvpipe.a $(LIBKVPIPE_SO))

# The GStreamer element; it has the library in itself.
GST_PLUGIN := $(B)/gstreamer-1.0/libgstkvpipe.so
GST_PLUGIN_LIBS := $(if $(PKG_LIBS),$(shell pkg-config --libs gstreamer-1.0))
GST_PLUGIN_DIR ?= $(if $(PKG_LIBS),$(shell pkg-config --define-variable=prefix=$(PREFIX) --variable=pluginsdir gstreamer-1.0))

PROTO_SRC := $(wildcard proto/*.proto)
PROTO_C := $(PROTO_SRC:%.proto=$(B)/%.pb-c.c)
PROTO_OBJ := $(PROTO_C:.c=.o)
LLHTTP_OBJ := $(addprefix $(B)/llhttp/,api.o http.o llhttp.o)

objs = $(patsubst %.c,$(B)/%.o,$(filter-out $(1)/main.c,$(wildcard $(1)/*.c)))
PRODUCER_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard capture/libkvpipe/*.c))
GST_PLUGIN_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard capture/kvpipesink/*.c))
LIBNAMES := $(foreach d,$(DIRS),$(if $(call objs,$d),$d))
ARCHIVES := $(LIBNAMES:%=$(B)/lib/lib%.a) $(addprefix $(B)/lib/,libproducer.a libkvpipesink.a libproto.a libllhttp.a)
BINS := $(foreach d,$(STAGES),$(if $(wildcard $d/main.c),$(B)/bin/kvpipe-$d)) $(if $(wildcard cli/main.c),$(B)/bin/kvpipe)
UNITS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
TOOLS := $(patsubst tests/lib/%.c,$(B)/tests/%,$(wildcard tests/lib/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS := $(patsubst tests/fuzz/%.c,$(B)/replay/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all run test units replays bench chaos sim fuzz asan format lint install install-deps deb images clean help demo programs tools fuzzers
.DELETE_ON_ERROR:

all: programs
programs: $(BINS) $(LIBKVPIPE) $(GST_PLUGIN)
units: $(UNITS)
tools: $(TOOLS)
fuzzers: $(FUZZERS)
replays: $(REPLAYS)

define LIB_RULE
$(B)/lib/lib$(1).a: $(call objs,$(1))
	$$(call say,AR,$$@)mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach d,$(LIBNAMES),$(eval $(call LIB_RULE,$d)))
$(B)/lib/libproducer.a: $(PRODUCER_OBJ)
	$(call say,AR,$@)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^
$(B)/lib/libkvpipesink.a: $(GST_PLUGIN_OBJ)
	$(call say,AR,$@)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^
$(B)/lib/libproto.a: $(PROTO_OBJ)
	$(call say,AR,$@)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^
$(B)/lib/libllhttp.a: $(LLHTTP_OBJ)
	$(call say,AR,$@)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^

$(B)/%.pb-c.c $(B)/%.pb-c.h: %.proto
	$(call say,PROTO,$<)mkdir -p $(@D) && protoc-c --c_out=$(B) $<
$(B)/proto/%.pb-c.o: $(B)/proto/%.pb-c.c
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -w -MMD -MP -c -o $@ $<
$(B)/llhttp/%.o: /usr/share/llhttp/%.c
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -w -MMD -MP -c -o $@ $<
$(B)/%.o: %.c Makefile | $(PROTO_C)
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CFLAGS_$(firstword $(subst /, ,$<))) -MMD -MP -c -o $@ $<

$(B)/monitor/page.o: $(wildcard monitor/page/*)

LINK = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)
COMMON_LIBS := $(filter %/libcommon.a %/libmedia.a %/libproto.a,$(ARCHIVES))
$(B)/bin/kvpipe-%: $(B)/%/main.o $(B)/lib/lib%.a $(COMMON_LIBS) $(B)/lib/libllhttp.a
	$(call say,LD,$@)mkdir -p $(@D) && $(LINK) -Wl,--as-needed
$(B)/bin/kvpipe: $(B)/cli/main.o $(if $(call objs,cli),$(B)/lib/libcli.a) $(COMMON_LIBS) $(B)/lib/libllhttp.a
	$(call say,LD,$@)mkdir -p $(@D) && $(LINK)
# libkvpipe: one object of what it needs of the tree, with the names of kvpipe.h alone.
$(B)/lib/libkvpipe.o: $(B)/lib/libproducer.a $(B)/lib/libcapture.a $(COMMON_LIBS) capture/libkvpipe/kvpipe.syms
	$(call say,LD,$@)$(LD) -r -o $@ --whole-archive $< --no-whole-archive --start-group $(filter-out $<,$(filter %.a,$^)) --end-group && \
		objcopy --keep-global-symbols=capture/libkvpipe/kvpipe.syms $@
$(B)/lib/libkvpipe.a: $(B)/lib/libkvpipe.o
	$(call say,AR,$@)rm -f $@ && ar rcs $@ $^
$(B)/lib/$(LIBKVPIPE_SO): $(B)/lib/libkvpipe.o
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -shared -Wl,-soname,$(@F) -o $@ $^ -Wl,--as-needed $(LIBKVPIPE_LIBS) -lpthread && \
		ln -sf $(@F) $(@D)/libkvpipe.so
$(GST_PLUGIN): $(GST_PLUGIN_OBJ) $(B)/lib/libkvpipe.a capture/kvpipesink/libgstkvpipe.map
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -shared -Wl,--version-script=$(filter %.map,$^) -o $@ \
		$(filter %.o %.a,$^) -Wl,--as-needed $(GST_PLUGIN_LIBS) $(LIBKVPIPE_LIBS) -lpthread
$(B)/unit/%: $(B)/tests/unit/%.o $(ARCHIVES)
	$(call say,LD,$@)mkdir -p $(@D) && $(LINK) -lcheck -lsubunit -lrt -lm
$(B)/tests/%: $(B)/tests/lib/%.o $(COMMON_LIBS)
	$(call say,LD,$@)mkdir -p $(@D) && $(LINK) $(TOOL_LIBS_$*)
$(B)/tests/lib/%.o: CFLAGS_tests = $(TOOL_CFLAGS_$(*F))
# Fuzzers are built in a tree of their own with clang (make fuzz); replays run the same corpus in any build.
$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(ARCHIVES)
	$(call say,LD,$@)mkdir -p $(@D) && $(LINK) -fsanitize=fuzzer
$(B)/replay/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(ARCHIVES)
	$(call say,LD,$@)mkdir -p $(@D) && $(LINK)

run:
	$(Q)deploy/install-deps.sh run
	$(Q)$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(or $(shell nproc),2)) demo
	$(Q)exec $(B)/bin/kvpipe run deploy/pipeline.yaml
test: install-deps
	$(Q)tests/run $(T)
bench: install-deps
	$(Q)tests/run --bench $(T)
fuzz: install-deps
	$(Q)tests/run --fuzz $(T)
chaos: install-deps
	$(Q)$(MAKE) --no-print-directory programs tools
	$(Q)SECONDS=$(or $(SECONDS),30) SEED=$(or $(SEED),1) tests/faults/chaos
sim: install-deps
	$(Q)$(MAKE) --no-print-directory $(B)/unit/test_link_sim
	$(Q)SEED=$(or $(SEED),0) RUNS=$(or $(RUNS),100000) $(B)/unit/test_link_sim
asan: install-deps
	$(Q)tests/run --asan $(T)
lint: install-deps
	$(Q)tests/run --lint
format:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')
install-deps:
	$(Q)deploy/install-deps.sh
# The video is fetched while the compiler works.
demo: build/media/street.mp4 programs
	@:
build/media/street.mp4:
	$(Q)deploy/sample-media.sh $(@D)

DOCS := $(DESTDIR)$(PREFIX)/share/doc/kvpipe
MAN := $(DESTDIR)$(PREFIX)/share/man
SYSTEMD ?= $(PREFIX)/lib/systemd/system
install: all
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin $(MAN)/man1 $(MAN)/man3 $(MAN)/man5 $(DOCS)/proto $(DOCS)/monitoring
	$(Q)install -m 755 $(BINS) $(DESTDIR)$(PREFIX)/bin
	$(Q)install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include
	$(Q)install -m 644 $(B)/lib/libkvpipe.a $(B)/lib/$(LIBKVPIPE_SO) $(DESTDIR)$(LIBDIR)
	$(Q)ln -sf $(LIBKVPIPE_SO) $(DESTDIR)$(LIBDIR)/libkvpipe.so
	$(Q)sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' capture/libkvpipe/kvpipe.pc.in \
		>$(DESTDIR)$(LIBDIR)/pkgconfig/kvpipe.pc
	$(Q)install -m 644 capture/libkvpipe/kvpipe.h $(DESTDIR)$(PREFIX)/include
	$(Q)install -d $(DESTDIR)$(GST_PLUGIN_DIR)
	$(Q)install -m 644 $(GST_PLUGIN) $(DESTDIR)$(GST_PLUGIN_DIR)
	$(Q)install -m 644 $(wildcard $(addsuffix /*.1,$(DIRS))) $(MAN)/man1
	$(Q)install -m 644 $(wildcard common/*.5) $(MAN)/man5
	$(Q)install -m 644 $(wildcard README.md CHANGELOG.md LICENSE) deploy/pipeline.yaml $(DOCS)
	$(Q)install -m 644 capture/kvpipesink/README.md $(DOCS)/kvpipesink.md
	$(Q)install -m 644 $(wildcard proto/README.md) $(PROTO_SRC) $(DOCS)/proto
	$(Q)install -m 644 deploy/monitoring/* $(DOCS)/monitoring
	$(Q)install -m 644 capture/libkvpipe/libkvpipe.3 $(MAN)/man3
	$(Q)install -d $(DOCS)/examples/capture-device $(DOCS)/examples/encoder-python $(DOCS)/examples/producer
	$(Q)install -m 644 $(addprefix deploy/examples/producer/,Makefile README.md producer.c) $(DOCS)/examples/producer
	$(Q)install -m 644 deploy/examples/README.md $(DOCS)/examples
	$(Q)install -m 644 $(addprefix deploy/examples/capture-device/,Makefile README.md *.c *.h) $(DOCS)/examples/capture-device
	$(Q)install -m 644 deploy/examples/encoder-python/README.md $(DOCS)/examples/encoder-python
	$(Q)install -m 755 deploy/examples/encoder-python/encoder.py $(DOCS)/examples/encoder-python
	$(Q)install -d $(DESTDIR)$(SYSTEMD)/kvpipe-.service.d
	$(Q)install -m 644 deploy/systemd/*.service deploy/systemd/*.target $(DESTDIR)$(SYSTEMD)
	$(Q)install -m 644 deploy/systemd/kvpipe-.service.d/*.conf $(DESTDIR)$(SYSTEMD)/kvpipe-.service.d
deb: all
	$(Q)B=$(B) deploy/deb.sh $(VERSION)
# One small image per process; says how big each is.
images:
	$(Q)deploy/images.sh $(VERSION)
clean:
	$(Q)rm -rf build
help:
	@echo 'make run      install what is missing, build, start the demo pipeline with its own endpoint'
	@echo 'make test     install what is missing, build, run every test (T=unit/link runs one)'
	@echo 'make all      build the programs into build/bin'
	@echo 'make bench    compare with one GStreamer process doing the same job'
	@echo 'make chaos    random faults over four streams (SECONDS=120 SEED=7), with a verdict'
	@echo 'make fuzz     run each libFuzzer harness for 60 s (SECONDS_EACH=60)'
	@echo 'make asan     unit and pipeline tests under address, undefined and leak sanitizers'
	@echo 'make lint     warnings as errors with gcc and clang, format check'
	@echo 'make format   clang-format all sources'
	@echo 'make install  DESTDIR= PREFIX=/usr/local'
	@echo 'make deb      a Debian package in build/, with systemd units'
	@echo 'make images   a container image per process, and their sizes'
	@echo 'make clean    remove build/'

-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)
.SECONDARY:
