# taskapi: a PostgreSQL extension.
#
#   make && make install      build and install for the pg_config on PATH
#   make installcheck         regression, isolation and TAP tests against a running server
#   make test                 set up what is missing, then every suite in a throw-away server
#   make demo                 the same set-up, then the task API on real data
#   make lint matrix modes package bench instructions sanitize soak valgrind    see scripts/
#   make dist                 the archive of a release
#
# PG_CONFIG=... chooses another major for each of them.

# Where the sources are: here, or in VPATH for a build outside the tree.
top        := $(if $(VPATH),$(VPATH),.)

EXTENSION  = taskapi
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(top)/taskapi.control)
PGFILEDESC = "taskapi - primitives of an HTTP API"
MODULE_big = taskapi
OBJS       = $(patsubst $(top)/%.c,%.o,$(sort $(wildcard $(top)/src/*.c $(top)/src/*/*.c)))

# In the order of their numbers: a fragment may use only what a lower one makes.
SQL_INSTALL = $(sort $(wildcard $(top)/sql/install/*.sql))

# The task API, in the order in which create_task_api() runs it.
SQL_TASK_API = $(sort $(wildcard $(top)/sql/task_api/*.sql))

DATA        = $(wildcard $(top)/sql/upgrade/taskapi--*--*.sql)
DATA_built  = taskapi--$(EXTVERSION).sql
PG_CPPFLAGS = -I$(abspath $(top))/src -DTASKAPI_VERSION=\"$(EXTVERSION)\" $(EXTRA_CPPFLAGS)
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers $(EXTRA_CFLAGS)

REGRESS       ?= $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS   = --inputdir=test --encoding=UTF8 --no-locale --load-extension=taskapi
ISOLATION     ?= $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
# An output folder of its own would be asked for expected/ first; there is one, at the root.
ISOLATION_OPTS = --inputdir=test --outputdir=. --encoding=UTF8 --no-locale
# They need Debian's libipc-run-perl.
TAP_TESTS      = $(shell perl -MIPC::Run -e 'print 1' 2>/dev/null)
PROVE_TESTS   ?= test/t/*.pl
EXTRA_CLEAN    = sql/task_api.embedded.sql

SCRIPT_TARGETS = test demo lint matrix modes package bench instructions sanitize soak valgrind
.PHONY: $(SCRIPT_TARGETS) typedefs dist

PG_CONFIG ?= pg_config
PGXS      := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
ifneq ($(shell [ $(MAJORVERSION) -ge 15 ] || echo old),)
$(error PostgreSQL 15 or later is needed, and $(PG_CONFIG) is of $(VERSION). PG_CONFIG=... chooses another)
endif
# What was compiled for another server is compiled again.
server    := $(MAJORVERSION) $(includedir_server)
built_for := $(shell cat .taskapi.server 2>/dev/null)
ifneq ($(built_for),$(server))
$(if $(built_for),$(shell rm -f $(OBJS) $(MODULE_big).so))
$(shell echo '$(server)' 2>/dev/null >.taskapi.server)
endif
EXTRA_CLEAN += .taskapi.server
else
all install installcheck clean:
	@echo "$(PG_CONFIG) finds no development files of PostgreSQL. Install postgresql-server-dev-NN (Debian), postgresqlNN-devel (Red Hat)," >&2
	@echo "or set PG_CONFIG. On Debian 'make test' and 'make demo' install what they need." >&2; exit 1
.DEFAULT_GOAL := all
endif

$(OBJS): $(wildcard $(top)/src/*/*.h) | objdirs
.PHONY: objdirs
objdirs:
	@mkdir -p $(sort $(dir $(OBJS)))

$(SCRIPT_TARGETS):
	@PG_CONFIG="$(PG_CONFIG)" scripts/$@

typedefs:
	scripts/typedefs > typedefs.list

# The archive for PGXN: what is committed, without what .gitattributes leaves out.
dist:
	git archive --format=zip --prefix=$(EXTENSION)-$(EXTVERSION)/ -o $(EXTENSION)-$(EXTVERSION).zip HEAD

# CREATE OR REPLACE could adopt an object that somebody planted before, so the
# install script never holds it. The task API is data here, not code: it is
# embedded as the text that create_task_api() runs as its caller.
$(DATA_built): $(SQL_INSTALL) $(SQL_TASK_API) $(addprefix $(top)/,scripts/embed taskapi.control Makefile)
	{ set -e; printf '%s\n' '\echo Use "CREATE EXTENSION taskapi" to load this file. \quit'; \
	  for f in $(SQL_INSTALL); do \
	    printf '\n-- %s\n' $${f#$(top)/}; \
	    if grep -q '@task_api@' $$f; then $(top)/scripts/embed $$f $(SQL_TASK_API); else cat $$f; fi; \
	  done; } > $@.tmp
	sed 's/^CREATE OR REPLACE /CREATE /' $@.tmp > $@.done && rm $@.tmp && mv $@.done $@
