GO      ?= go
BINARY  := bin/m2m-token-enricher
FUZZ    ?= 2s
SOAK    ?= 10m

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: all build build-static build-libcrypto build-noworkflow demo demo-up test test-pkcs11 test-libcrypto test-kong fuzz bench bench-records soak lint needs install-check clean

all: build

build: build-static build-libcrypto

# The static binary, which starts on any Linux.
build-static:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(BINARY) ./cmd/m2m-token-enricher

# The same for systems with glibc, as Kong's are: it signs and verifies with
# OpenSSL's libcrypto 3 if that is there. The system's dynamic linker starts it.
build-libcrypto:
	CGO_ENABLED=0 $(GO) build -trimpath -tags libcrypto -ldflags '-s -w' -o bin/libcrypto/m2m-token-enricher ./cmd/m2m-token-enricher

# The static one without workflows, and without what bundles and runs them.
build-noworkflow:
	CGO_ENABLED=0 $(GO) build -trimpath -tags noworkflow -ldflags '-s -w' -o bin/noworkflow/m2m-token-enricher ./cmd/m2m-token-enricher

# The main job, with nothing but Go installed.
demo: build-static
	$(GO) run ./test/demo -binary $(BINARY) -config kong.yml -workflow test/demo/workflow

# The same, kept running to be tried with curl. WORKFLOW=/path/to/repository
# serves your Kinde workflow.
demo-up: build-static
	$(GO) run ./test/demo -binary $(BINARY) -config kong.yml -up $(if $(WORKFLOW),-workflow '$(WORKFLOW)')

# Every test. KONG_BIN=/path/to/kong runs the end-to-end suite on a real Kong.
test: needs
	$(GO) test -race ./...
	@$(MAKE) --no-print-directory test-pkcs11 test-libcrypto
	@$(MAKE) --no-print-directory fuzz

# Keys in a token, which the static binary doesn't know: they need cgo.
test-pkcs11: needs
	$(GO) test -race -tags pkcs11 ./plugin/jws/pkcs11

# OpenSSL's libcrypto, as the build without cgo calls it and with the race
# detector, which needs cgo.
test-libcrypto: needs
	CGO_ENABLED=0 $(GO) test -tags libcrypto ./plugin/jws/... ./plugin/enrich
	CGO_ENABLED=0 $(GO) test -tags libcrypto -run LoadNoLibrary ./cmd/m2m-token-enricher
	$(GO) test -race -tags libcrypto ./plugin/jws/libcrypto

# The suite as on a real Kong: the stand-in is a process of its own, started and
# stopped by a kong command and, where root runs this, another user's.
test-kong: needs
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && chmod 755 "$$dir" && $(GO) build -o "$$dir/kong" ./test/kong && \
		KONG_BIN="$$dir/kong" $(GO) test ./test/e2e ./test/kongtest

# Each fuzz target for a while; FUZZ=1h for longer.
fuzz:
	@GO='$(GO)' sh .ci/fuzz $(FUZZ)

# The tables of docs/performance.md, except those of the records, in a few
# minutes. BENCH='-soak 5m' watches memory, too; BENCH='-only core,loop' is
# quicker.
bench: build
	$(GO) run ./test/bench -binary bin/libcrypto/m2m-token-enricher -config kong.yml -baseline c87937a \
		-out docs/performance.md $(BENCH)

# Those of the records, with a million of them in Redis: needs a few minutes and
# 2 GB of memory.
bench-records: needs
	$(GO) test -run='^$$' -bench=. -benchtime=1x -timeout=30m ./test/benchrecords
	$(GO) test -run='^$$' -bench=Hit ./test/benchrecords

# Full load with everything that operators do meanwhile; SOAK=1m is a try that
# says nothing of memory.
soak: build needs
	$(GO) run ./test/soak -binary bin/libcrypto/m2m-token-enricher -config kong.yml -time $(SOAK)

lint:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags pkcs11,libcrypto ./plugin/jws/...
	$(GO) vet -tags noworkflow ./...
	$(GO) run $(STATICCHECK) ./...
	@sh .ci/vulncheck $(GO) run $(GOVULNCHECK) ./...

# What the tests need beside Go: a real redis-server, Prometheus, SoftHSM, curl,
# and a C compiler for the race detector.
needs:
	@sh .ci/needs

# The README's way into Kong, followed on a plain Debian; needs root, debootstrap
# and a mirror.
install-check: build
	@GO='$(GO)' sh .ci/install-check

clean:
	rm -rf bin
