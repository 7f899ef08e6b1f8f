# hubspot_assoc: associate HubSpot CRM records from SQL
#
# Commands that do all set-up themselves, on Debian or Ubuntu, and touch no
# cluster of the system:
#   make demo           what it looks like, against a simulator of HubSpot
#   make try            a psql beside that simulator, with everything ready
#   make test           all tests; ONLY="checks regress simulator tap" for some,
#                       REGRESS=batch or PROVE_TESTS=test/t/001_smoke.pl for one;
#                       TEST_JOBS=1 for one after the other
#   make check          what can be told in a minute: the build, the layout, the
#                       pages' links, and the regression tests
#
# More tests, each of which installs what it needs; those that need root or more
# than a few minutes say so:
#   make test-all       all of what follows, and make test; ONLY="..." for some
#   make sanitize       all tests under AddressSanitizer and UBSan
#   make valgrind       all tests under valgrind
#   make fuzz           libFuzzer over what reads answers, ids and options
#   make coverage       which lines and branches the tests reach
#   make analyze        static analysis
#   make test-upgrade   pg_upgrade of a cluster with a filled outbox
#   make test-matrix    make test on PostgreSQL 15 to 18
#
# The PGXS way, for the server of PG_CONFIG:
#   make headers        the server's headers alone, where Debian's package of them would
#                       bring clang
#   make, make install, make installcheck (TAP_TESTS= leaves out the TAP tests,
#   which need IPC::Run)
#
# Packages:
#   make deb            Debian packages into dist/, one for each installed
#                       postgresql-server-dev-N
#   make dist           the archive for PGXN into dist/, with a list of materials (SPDX)
#                       and checksums
#   make image          containers, for trying and to be mounted into a server's; root
#   make package-test   builds, installs and removes them, in bare roots; needs root
#
# For those who change the source:
#   make bench          measures; BENCH_ARGS="..." goes to test/bench/run
#   make profile        where a backend's time goes, by perf
#   make indent         lays the source out; make indent-check only tells
#   make headerscheck   headers compile alone, includes go downward
#   WERROR=1            warnings are errors

# PGXS can build elsewhere: make -f .../Makefile, or VPATH=...
source := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))

MODULE_big = hubspot_assoc
OBJS = $(patsubst $(source)/%.c,%.o,$(wildcard $(source)/src/*.c $(source)/src/*/*.c))
PGFILEDESC = "hubspot_assoc - associate HubSpot CRM records from SQL"

EXTENSION = hubspot_assoc
DATA = hubspot_assoc--1.0.sql
# into a folder that all extensions share: only what bears our name
DOCS = doc/hubspot_assoc.md

REGRESS = options privileges create batch max_requests keys plan bounds errors request operations read archive labels definitions account compositions statistics enqueue sync sync_ddl
# each file has a simulator of its own, and the outbox to itself
REGRESS_OPTS = --launcher="$(srcdir)/test/with_idle_workers $(srcdir)/test/with_simulator"
ENCODING = UTF8
NO_LOCALE = 1

TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl
# which the simulator leaves when tests run in this tree
EXTRA_CLEAN = test/simulator/__pycache__

CURL_CONFIG ?= curl-config
CURL_VERSION = 7.74.0
PG_CPPFLAGS = -I$(srcdir)/src $(shell $(CURL_CONFIG) --cflags 2>/dev/null)
SHLIB_LINK = $(shell $(CURL_CONFIG) --libs 2>/dev/null)
# A function without a declaration is one that this minor version lacks: the library
# would be built, and not load.
# In C23, which compilers take by default from GCC 15 on, PostgreSQL 15 has its walkers
# without arguments.
PG_CFLAGS = -std=gnu17 -Wall -Wextra -Wno-unused-parameter -Werror=implicit-function-declaration $(if $(WERROR),-Werror)

# Bitcode lets the JIT inline functions into queries, which is no use for ours,
# and would need the clang that the server was built with.
override with_llvm = no

# The commands below work before there is a pg_config: test/setup brings it. Debian's
# says nothing without postgresql-server-dev-N, but each server has one, too.
ifeq ($(origin PG_CONFIG),undefined)
PG_CONFIG := $(or $(if $(shell pg_config --pgxs 2>/dev/null),pg_config),$(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin/pg_config))),pg_config)
else
export PG_CONFIG
endif
# Debian's client package has PGXS's makefiles without the headers: make headers
# brings them.
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
server_headers := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
ifeq ($(wildcard $(server_headers)/postgres.h),)
server_headers := $(source)/.headers$(server_headers)
PG_CPPFLAGS += -I$(server_headers)
endif
ifneq ($(and $(PGXS),$(wildcard $(server_headers)/postgres.h)),)
include $(PGXS)

$(OBJS): $(wildcard $(source)/src/*.h $(source)/src/*/*.h)
# By make itself: a rule's folder would be found in the source.
$(if $(filter-out .,$(source)),$(shell mkdir -p $(sort $(dir $(OBJS)))))

# PGXS's own looks for it in a folder doc/.
uninstall: uninstall-page
uninstall-page:
	rm -f '$(DESTDIR)$(docdir)/$(docmoduledir)/$(notdir $(DOCS))'

ifneq ($(shell $(CURL_CONFIG) --checkfor $(CURL_VERSION) 2>&1 || echo missing),)
$(OBJS): curl-is-missing
endif
else
all install installcheck clean:
	@echo 'no PGXS from "$(PG_CONFIG) --pgxs", or no headers of the server: make headers, install postgresql-server-dev-NN, or set PG_CONFIG' >&2; exit 1
endif

curl-is-missing:
	@echo 'libcurl $(CURL_VERSION) or later is missing, or its curl-config: install libcurl4-openssl-dev, or set CURL_CONFIG' >&2; exit 1

# A test file or a topic given on the command line is what to run.
ONLY = $(if $(findstring command,$(origin REGRESS)),regress) \
	$(if $(findstring command,$(origin PROVE_TESTS)),tap)

test:
	@WERROR=1 test/with_cluster -c hubspot_assoc.workers=0 test/run $(ONLY); status=$$?; \
	if [ $$status = 125 ]; then echo '0 passed, 1 failed'; fi; exit $$status

check: quick-check
# PGXS has a recipe for this one, which says that it isn't supported. A second one
# would be warned of; so its lines go to a shell that does nothing.
check: private SHELL = true

quick-check:
	@$(MAKE) -s --no-print-directory test ONLY='checks regress tap' PROVE_TESTS=test/t/340_pages.pl

test-all:
	@test/setup && test/all $(ONLY)

sanitize:
	@test/sanitize $(ONLY)

valgrind:
	@test/valgrind $(ONLY)

fuzz:
	@test/fuzz/run

coverage:
	@test/setup && test/coverage $(ONLY)

analyze:
	@test/setup clang-tidy:clang-tidy cppcheck:cppcheck shellcheck:shellcheck \
		pyflakes3:pyflakes3 perlcritic:libperl-critic-perl
	@test/analyze $(ONLY)

test-upgrade:
	@test/setup && test/upgrade

test-matrix:
	@test/setup && test/matrix $(ONLY)

# Only those: the package depends on the clang that the server was built with.
headers:
	@packaging/headers "$(PG_CONFIG)"

deb:
	@packaging/deb

dist:
	@packaging/archive

image:
	@packaging/image

package-test:
	@test/setup --build && test/package $(ONLY)

demo:
	@test/trial demo

try:
	@test/trial try

bench:
	@test/with_cluster -c shared_buffers=256MB -c fsync=on -c shared_preload_libraries=hubspot_assoc test/bench/run $(BENCH_ARGS)

profile:
	@test/setup perf:linux-perf
	@$(MAKE) -s --no-print-directory bench BENCH_ARGS='--profile $(BENCH_ARGS)'

headerscheck:
	@CC='$(CC)' FLAGS='$(CPPFLAGS) $(CFLAGS)' test/headerscheck

indent:
	@test/indent

indent-check:
	@test/indent --check

.PHONY: uninstall-page headers deb dist image package-test test check quick-check test-all sanitize valgrind fuzz coverage analyze test-upgrade test-matrix demo try bench profile headerscheck indent indent-check curl-is-missing
