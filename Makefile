.PHONY: run build test truth apt merge-request real reproducible bench bench-hit bench-build bench-serve bench-early slow corpus fuzz lint tools clean
GO ?= go
TOOLS := $(CURDIR)/.tools
export AXLE_TOOLS := $(TOOLS)
FUZZTIME ?= 20s

# Serve on this machine; the line that it prints is the one to copy.
run: build
	bin/axle serve --store .run/store

build: $(TOOLS)/tools.stamp
	$(GO) build -o bin/axle ./cmd/axle

# What builds need beside axle itself: bubblewrap, patch, uv, pyproject_hooks.
$(TOOLS)/tools.stamp: deploy/tools.sh deploy/tools.txt
	deploy/tools.sh $(TOOLS) && touch $@

tools:
	deploy/tools.sh $(TOOLS) --test

# Everything that can be shown in minutes, with the race detector: real pip, real uv, a real S3 server, real builds.
test: tools
	$(GO) test -race -timeout 45m ./...

# A system package installed and removed for real: what was built before is a miss, and a hit again. Needs root.
apt: tools
	AXLE_TEST_APT=1 $(GO) test -count=1 -timeout 10m -run 'TestAptInstall' -v ./cmd/axle

# A branch's view beside main's: what it rebuilds, and what becomes of main when it is merged.
merge-request: tools
	$(GO) test -count=1 -timeout 10m -run 'TestMergeRequest' -v ./cmd/axle

# What must be built again and what must not: each change of an input, and of what is none, with exactly the projects that it concerns and the
# cause that is told; on generated projects, on a copy of the Python, on the system, and on three real projects. Parts need root and network.
truth: tools build
	AXLE_TEST_APT=1 $(GO) test -count=1 -timeout 40m -run 'TestTruth|TestPipInstallIntoPython|TestAptInstall|TestAlternatives|TestOverridePlugins' ./cmd/axle -truth -v

# The same against the real upstream, whole: cold store, every client, everything from source.
real: tools build
	$(GO) test -count=1 -timeout 80m -run 'TestReal' ./cmd/axle -real -v

# Some thirty real sdists, of each kind of build backend, built twice: a table of what came out byte for byte the same.
reproducible: tools build
	$(GO) test -count=1 -timeout 180m -run 'TestReproducible' ./cmd/axle -reproducible -v

# What serving costs beside nginx serving the same bytes as files. A minute; the less else runs, the better.
bench-serve: tools
	deploy/bench-tools.sh $(TOOLS)/bench
	$(GO) test -count=1 -timeout 5m -run 'TestBenchServe' -v ./cmd/axle -bench-serve

# What is claimed of speed, measured side by side: what a hit costs, CPU of builds beside uv and pip, CPU of serving beside nginx, time of cold installs with
# and without early start.
bench: bench-hit bench-build bench-serve bench-early

# What it costs to know what is a hit: for each of the thousand versions of a page, in microseconds and allocations.
bench-hit:
	$(GO) test -count=1 -timeout 5m -run '^$$' -bench 'Hit|Page' -benchtime 20x ./resolver

# What a build costs, in CPU seconds, beside the same build by uv and by pip. Needs network once, for five sdists and their build requirements.
bench-build: tools
	$(GO) test -count=1 -timeout 30m -run 'TestBenchBuild' ./cmd/axle -bench-build -v

# What early start is worth: cold installs with and without it in turn. PAIRS=n for more of them.
PAIRS ?= 3
bench-early: tools build
	$(GO) test -count=1 -timeout 60m -run 'TestRealEarlyStart' ./cmd/axle -early $(PAIRS) -v

# A build and a metadata hook of ten minutes each, outlived by pip 23.2, pip 26.3 and uv on their defaults (eleven minutes).
slow: tools
	$(GO) test -count=1 -timeout 30m -run 'TestSlow' ./cmd/axle -slow -v

# Real sdists, each built by pip and by Axle in two ways: a table, and a failure where pip can and Axle can't. CORPUS=FILE takes another list.
# What was built is kept in CORPUS_STORE: a run that was cut goes on when it is started again, and only what failed is tried anew. Where nothing
# is pre-built, patchelf and others want autoconf.
CORPUS ?= $(CURDIR)/cmd/axle/testdata/corpus.txt
CORPUS_STORE ?= $(CURDIR)/.run/corpus
corpus: tools build
	command -v autoreconf >/dev/null || apt-get install -y autoconf automake libtool
	$(GO) test -count=1 -timeout 12h -run 'TestCorpus' ./cmd/axle -corpus $(CORPUS) -corpus-store $(CORPUS_STORE) -v

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	deploy/vulncheck.sh

fuzz:
	deploy/fuzz.sh $(FUZZTIME)

clean:
	rm -rf bin .run .tools
