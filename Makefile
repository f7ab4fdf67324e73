# One Makefile, no recursion into folders; `make help` tells what it can do.
# Personal settings (CC, DEVELOPER=1, ...) go into local.mk, which git ignores.
-include local.mk

VERSION := 0.1.0
MODE    ?= release
PREFIX  ?= /usr/local
PYTHON  ?= python3
B       := build/$(MODE)
JOBS    ?= $(shell nproc)
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 600
KILLS ?= 1000
# T=pool picks the tests whose names contain "pool".
T ?=

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -r -j$(JOBS)
endif
ifeq ($(filter debug release asan tsan fuzz,$(MODE)),)
$(error MODE is one of debug, release, asan, tsan; not "$(MODE)")
endif
ifeq ($(MODE),fuzz)
CC  = clang
CXX = clang++
endif

STATIC       = -static-libstdc++ -static-libgcc
MODE_release = -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
MODE_debug   = -O0 -g3
MODE_asan    = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan    = -O1 -g -fno-omit-frame-pointer -fsanitize=thread
MODE_fuzz    = $(MODE_asan) -fsanitize=fuzzer-no-link
LINK_release = $(STATIC) -Wl,-z,relro,-z,now
LINK_debug   = $(STATIC)

WARN     = -Wall -Wextra -Wshadow -Wpointer-arith -Wvla -Wwrite-strings -Wundef
WARN_C   = $(WARN) -Wstrict-prototypes -Wmissing-prototypes
ifneq ($(DEVELOPER)$(CI),)
WARN    += -Werror
endif
INCLUDES = -Isupervisor -I.
LLHTTP_INCLUDE ?= /usr/share/include
LLHTTP_SOURCE  ?= /usr/share/llhttp
# Expanded in the recipes, not here: `make up` may install pkg-config first.
SYSTEM   = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libuv jansson 2>/dev/null)) \
           -isystem $(LLHTTP_INCLUDE) -isystem $(LLHTTP_INCLUDE)/llhttp
LIBS     = $(shell pkg-config --static --libs libuv-static) -l:libjansson.a -l:libz.a \
           -l:libbrotlienc.a -l:libbrotlicommon.a -l:libzstd.a -l:libyaml.a -l:libsqlite3.a -lm
COMMON   = $(MODE_$(MODE)) -D_GNU_SOURCE -DNODEY_VERSION='"$(VERSION)"' -fno-common -MMD -MP
COMPILE  = $(CC) -std=gnu17 $(COMMON) $(INCLUDES) $(SYSTEM) $(CFLAGS)
COMPILEX = $(CXX) -std=gnu++17 -fno-exceptions -fno-rtti $(COMMON) $(INCLUDES) $(SYSTEM) $(CXXFLAGS)
# The C++ compiler links, because one object (config/toml.o) needs libstdc++.
LINK     = $(CXX) $(MODE_$(MODE)) $(LINK_$(MODE)) $(LDFLAGS)

SOURCES := $(wildcard supervisor/*/*.c supervisor/*/*.cc protocol/c/*.c)
ROOMS   := $(patsubst %,$(B)/%.o,$(basename $(SOURCES)))
LLHTTP  := $(addprefix $(B)/llhttp/,llhttp.o api.o http.o)
ARCHIVE := $(B)/rooms.a
# Folders too: their times change when a file comes or goes.
SDK     := $(shell find protocol/python/nodey protocol/node protocol/vectors supervisor/app/page \
                   supervisor/command/templates supervisor/bench/programs -name __pycache__ -prune -o -print 2>/dev/null)
HELPERS := $(patsubst %.c,$(B)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
UNITS   := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
REPLAYS := $(patsubst tests/fuzz/fuzz_%.c,$(B)/unit/replay_%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
RUN      = NODEY_BIN=$(B)/nodey scripts/test $(if $(T),-k '$(T)')

##@ Use
.PHONY: all up install clean help
all: $(B)/nodey ## build build/nodey (MODE=debug|release|asan|tsan, V=1 shows the commands)
ifeq ($(MODE),release)
all: build/nodey
endif

up: deps build/nodey ## install what is missing, build, and serve nodey.toml (ARGS="--listen 8080")
	$(Q)exec build/nodey up $(ARGS)

SHARE    = $(DESTDIR)$(PREFIX)/share
install: build/nodey ## copy the one binary to $(DESTDIR)$(PREFIX)/bin, its manual and completion to share
	$(Q)install -D -m 755 $< $(DESTDIR)$(PREFIX)/bin/nodey
	$(Q)install -d $(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/bash-completion/completions \
	    $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$(Q)$< man >$(SHARE)/man/man1/nodey.1
	$(Q)$< man nodey.toml >$(SHARE)/man/man5/nodey.toml.5
	$(Q)$< completion bash >$(SHARE)/bash-completion/completions/nodey
	$(Q)$< completion zsh >$(SHARE)/zsh/site-functions/_nodey
	$(Q)$< completion fish >$(SHARE)/fish/vendor_completions.d/nodey.fish

clean: ## remove everything that was built
	$(Q)rm -rf build

help: ## show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	/^[a-z-]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' Makefile

##@ Test (T=pool picks tests by name)
.PHONY: deps test unit system sdk soak proof mutants bench
deps: ## install the Debian packages that building needs and this machine lacks
	$(Q)scripts/bootstrap

test: deps-test $(B)/nodey $(UNITS) $(REPLAYS) ## everything a change must pass: unit, system, SDKs
	$(Q)$(RUN) unit system python node -- $(UNITS) $(REPLAYS)

unit: deps-test $(UNITS) $(REPLAYS) ## C unit tests, and the fuzz corpora replayed
	$(Q)$(RUN) unit -- $(UNITS) $(REPLAYS)

system: deps-test $(B)/nodey ## the real binary, driven from outside
	$(Q)$(RUN) system

sdk: deps-test ## the Python and the Node SDK
	$(Q)$(RUN) python node

soak: deps-test $(B)/nodey ## random faults under load for SOAK_SECONDS=600; SEED=n repeats a run
	$(Q)NODEY_BIN=$(B)/nodey build/venv/bin/python tests/soak/run --seconds $(SOAK_SECONDS) $(if $(SEED),--seed $(SEED))

proof: deps-test $(B)/nodey ## kill nodey KILLS=1000 times: no event is lost; SEED=n repeats a run
	$(Q)NODEY_BIN=$(B)/nodey build/venv/bin/python tests/proof/run --kills $(KILLS) $(if $(SEED),--seed $(SEED))

mutants: deps-test ## is the proof able to see? six broken nodeys must each be caught
	$(Q)build/venv/bin/python tests/proof/mutants $(if $(SEED),--seed $(SEED))

bench: deps-bench build/nodey ## measure against peers (ARGS="--quick")
	$(Q)test -d build/bench/venv || tests/bench/setup
	$(Q)tests/bench/run $(ARGS)

##@ Check
.PHONY: check lint sources globals fmt tidy asan tsan sanitize fuzz fuzz-run
check: ## lint, unit tests, and both sanitizers
	$(Q)for t in lint unit asan tsan; do $(MAKE) --no-print-directory $$t || exit 1; done

lint: sources globals ## layers, format, headers, allocation, versions, globals
sources: deps-lint
	$(Q)bad=0; scripts/layers --self-test && scripts/layers || bad=1; \
	scripts/format --check || bad=1; \
	scripts/headers $(CC) -std=gnu17 -D_GNU_SOURCE $(WARN_C) -Werror $(INCLUDES) $(SYSTEM) || bad=1; \
	grep -q '"version": "$(VERSION)"' protocol/node/package.json && \
	grep -q '^version = "$(VERSION)"' protocol/python/pyproject.toml || \
	{ echo 'lint: an SDK has another version than the Makefile, $(VERSION)' >&2; bad=1; }; exit $$bad
globals: $(ROOMS)
	$(Q)scripts/globals $(ROOMS)

fmt: deps-lint ## format the C sources
	$(Q)scripts/format

tidy: deps-tidy $(B)/gen/embedded.c ## clang-tidy, with the reasons in .clang-tidy
	$(Q)clang-tidy --quiet $(filter %.c,$(SOURCES)) -- -std=gnu17 -D_GNU_SOURCE \
	    -DNODEY_VERSION='"$(VERSION)"' $(INCLUDES) $(SYSTEM)

asan: ## unit and system tests under AddressSanitizer and UBSan
tsan: ## the same under ThreadSanitizer
asan tsan: ; $(Q)$(MAKE) --no-print-directory MODE=$@ sanitize

sanitize: deps-test $(B)/nodey $(UNITS) $(REPLAYS)
	$(Q)NODEY_SLOW=3 $(RUN) --subset unit system -- $(UNITS) $(REPLAYS)

fuzz: deps-fuzz ## each fuzz target for FUZZ_SECONDS=60
	$(Q)$(MAKE) --no-print-directory MODE=fuzz fuzz-run

fuzz-run: $(FUZZERS)
	$(Q)scripts/fuzz $(FUZZ_SECONDS) $(FUZZERS)

# The rules.
.PHONY: deps-test deps-lint deps-tidy deps-fuzz deps-bench
deps-test deps-lint deps-tidy deps-fuzz deps-bench: deps-%:
	$(Q)scripts/bootstrap $*

# A library that is missing is told once, with the cure, instead of by a wall of errors.
# Goals that install first do so before anything is compiled.
GOALS   := $(MAKECMDGOALS)
INSTALL := $(if $(filter up,$(GOALS)),deps) $(if $(filter lint,$(GOALS)),deps-lint) \
           $(if $(filter test unit system soak sanitize,$(GOALS)),deps-test) $(if $(filter bench,$(GOALS)),deps-bench)
$(B)/.libraries: | $(INSTALL)
	@mkdir -p $(@D)
	@pkg-config --exists libuv-static jansson 2>/dev/null && test -f $(LLHTTP_SOURCE)/llhttp.c && \
	printf '#include <%s>\n' uv.h jansson.h llhttp.h toml++/toml.h zlib.h brotli/encode.h zstd.h yaml.h sqlite3.h | \
	$(CXX) -x c++ -std=gnu++17 -fsyntax-only $(SYSTEM) - 2>/dev/null || \
	{ echo 'A library that nodey is built from is missing. run: make deps' >&2; exit 1; }
	@touch $@

build/nodey: build/release/nodey
	$(Q)ln -f $< $@

$(B)/nodey: $(B)/supervisor/main.o $(ROOMS) $(B)/gen/embedded.o $(LLHTTP)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

# Tests take from an archive what they use, so one may include a .c file to reach its statics.
$(ARCHIVE): $(ROOMS) $(B)/gen/embedded.o $(LLHTTP)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/unit/%: $(B)/tests/unit/%.o $(HELPERS) $(ARCHIVE)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(LINK) -o $@ $^ $(LIBS) -lcmocka

$(B)/unit/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(ARCHIVE)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(LINK) -o $@ $^ $(LIBS)

# The one benchmark that is built from the rooms themselves: tests/bench/run asks for it.
$(B)/bench/%: $(B)/tests/bench/%.o $(ARCHIVE)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(LINK) -o $@ $^ $(LIBS)

$(B)/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(ARCHIVE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ $^ $(LIBS)

$(B)/gen/embedded.c: scripts/embed $(SDK) | $(B)/.libraries
	$(call say,EMBED,$@)
	$(Q)mkdir -p $(@D) && $(PYTHON) scripts/embed $@

$(B)/gen/%.o: $(B)/gen/%.c Makefile | $(B)/.libraries
	$(Q)$(COMPILE) $(WARN_C) -c -o $@ $<

# Its source is no prerequisite, because `make up` may be about to install it.
$(LLHTTP): $(B)/llhttp/%.o: Makefile | $(B)/.libraries
	$(call say,CC,$(LLHTTP_SOURCE)/$*.c)
	$(Q)mkdir -p $(@D) && $(COMPILE) -DLLHTTP_STRICT_MODE=1 -w -c -o $@ $(LLHTTP_SOURCE)/$*.c

$(B)/%.o: %.c Makefile | $(B)/.libraries
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(COMPILE) $(WARN_C) -c -o $@ $<

$(B)/%.o: %.cc Makefile | $(B)/.libraries
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(COMPILEX) $(WARN) -c -o $@ $<

.DELETE_ON_ERROR:
# Objects of tests are links in a chain of rules; make would remove them after use.
.PRECIOUS: $(B)/%.o
-include $(shell find $(B) -name '*.d' 2>/dev/null)
