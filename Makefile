# Thin front of CMake. `make demo` and `make test` each work as the only command on a fresh Debian 12.
BUILD ?= build
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?=
SEEDS ?= 2000
START ?= 1
FAULTS ?= 4
STATES ?= 1000000
NEXMARK_SEEDS ?= 20
FUZZ_SECONDS ?= 60
CYCLES ?= 20
FRAMES ?= 100
HISTORIES ?= 500
KILLS ?= 100
AWAY ?= 60
SEED ?= 1
QUERIES ?=
PACKAGES = build-essential cmake ninja-build pkg-config git ca-certificates libzmq3-dev libczmq-dev libmsgpack-dev librocksdb-dev libsodium-dev \
  libxxhash-dev libisal-dev libck-dev libjansson-dev libfyaml-dev libsmartcols-dev libjemalloc-dev zlib1g-dev libzstd-dev libcmocka-dev python3 \
  iproute2 nftables
CLANG_PACKAGES = clang clang-format libclang-rt-14-dev
SUDO = $(if $(filter 0,$(shell id -u)),,sudo)
DEMO = $(BUILD)/demo

.PHONY: chaos chaos-ha chaos-nexmark chaos-frames chaos-leaders chaos-quorum all deps clang-deps configure build demo test bench sanitize tsan fuzz sim sim-coord sim-ha explore-coord conformance mutants nexmark lint format clean bench-coord chaos-coord

all: build

# Installs what is missing and nothing else; silent when all is there.
deps:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; $(SUDO) apt-get update -qq && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

clang-deps: deps
	@$(MAKE) --no-print-directory deps PACKAGES="$(CLANG_PACKAGES)"

configure: deps
	@mkdir -p $(BUILD)
	@cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }

build: configure
	@cmake --build $(BUILD) -j $(JOBS)

# The access log of tests/data through two TaskManagers; then the most requested paths of the busiest hours as a table.
demo: configure
	@cmake --build $(BUILD) -j $(JOBS) --target weir-jobmanager weir-taskmanager weir-worker jobctl job_accesslog >$(BUILD)/build.log || \
	  { cat $(BUILD)/build.log; exit 1; }
	@rm -rf $(DEMO)
	@$(BUILD)/bin/jobctl run --local --taskmanagers 2 --parallelism 2 $(BUILD)/jobs/accesslog.so -- \
	  --input tests/data/apache_logs.gz --output $(DEMO)
	@api/examples/top-paths $(DEMO)/top

test: build
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) $(CTEST_FLAGS)

# Every benchmark in one run; SHORT=--short for a quick look.
bench: build
	@for b in chain channel generate sliding tables nexmark nexmark_latency transport state restore recovery checkpoints; do $(BUILD)/bench/bench_$$b $(SHORT) || exit 1; done
	@$(BUILD)/bench/state_memory $(if $(SHORT),,20000000 64)
	@$(BUILD)/bench/nexmark_memory $(SHORT)

# Coordination beside ZooKeeper 3.8 (Debian's zookeeper and libzookeeper-mt-dev; left out with a message where they are missing).
bench-coord: build
	$(BUILD)/bench/bench_coord $(SHORT)

# The tests under AddressSanitizer and UndefinedBehaviorSanitizer; what measures speed or memory says nothing there.
sanitize:
	@$(MAKE) --no-print-directory test BUILD=build-asan CTEST_FLAGS='-LE bench' CMAKE_FLAGS='-DWEIR_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Debug'

# The threaded tests under ThreadSanitizer.
tsan:
	@$(MAKE) --no-print-directory build BUILD=build-tsan CMAKE_FLAGS='-DWEIR_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug'
	TSAN_OPTIONS="suppressions=$(CURDIR)/tests/support/tsan.supp halt_on_error=1" \
	  ctest --test-dir build-tsan --output-on-failure -j $(JOBS) --timeout 600 \
	  -R '^test_(pipeline|channel|frame_pool|operator_abi|timers_and_windows|exchange|client|socket|peer_owner)$$'

# Coverage-guided fuzzing, FUZZ_SECONDS for each target.
fuzz: clang-deps
	@$(MAKE) --no-print-directory build BUILD=build-fuzz CMAKE_FLAGS='-DCMAKE_C_COMPILER=clang -DWEIR_FUZZ=ON'
	tests/fuzz/run build-fuzz $(FUZZ_SECONDS)

# The simulator, with modelled workers and with real ones: SEEDS worlds of each from START on.
sim: build
	$(BUILD)/tests/sim/sim --seeds $(SEEDS) --start $(START)
	$(BUILD)/tests/sim/tasks/sim_tasks --seeds $(SEEDS) --start $(START)

# The same with 3 or 5 JobManagers, each with a peer of the coordination ensemble.
sim-ha: build
	$(BUILD)/tests/sim/sim --ensemble --seeds $(SEEDS) --start $(START)

# The coordination ensemble: SEEDS worlds from START on.
sim-coord: build
	$(BUILD)/tests/sim_coord --seeds $(SEEDS) --start $(START)

# Three peers and every placement of FAULTS faults, up to STATES states.
explore-coord: build
	$(BUILD)/tests/explore_coord --faults $(FAULTS) --states $(STATES)

# State against its oracle: SEEDS worlds from START on; in memory, since every snapshot waits for the disk.
conformance: build
	TMPDIR=$${TMPDIR:-/dev/shm} $(BUILD)/tests/conformance_state --seed $(START) --count $(SEEDS)

# Code broken on purpose, one line at a time: the tests must notice each.
mutants: build
	TMPDIR=$${TMPDIR:-/dev/shm} ctest --test-dir $(BUILD) -C Long -R mutants --output-on-failure

# Nexmark's results at every parallelism, frame and budget; then events of NEXMARK_SEEDS seeds from START on against each other and an oracle.
nexmark: build
	@for check in oracle vectors "identities --count $(NEXMARK_SEEDS)" "hostile --count $(NEXMARK_SEEDS)" "malformed --count $(NEXMARK_SEEDS)"; do \
	  TMPDIR=$${TMPDIR:-/dev/shm} tests/conformance/nexmark/check.py --program $(BUILD)/tests/nexmark_run $$check --seed $(START) || exit 1; done

# Real processes under faults: CYCLES of them, drawn from SEED.
chaos: build
	tests/chaos/chaos.py --build $(BUILD) --seed $(SEED) --cycles $(CYCLES)

# Every Nexmark query while workers are killed, and stopped and resumed at other parallelisms: the published hashes. QUERIES=q0,q5 does some.
chaos-nexmark: build
	tests/chaos/nexmark.py --build $(BUILD) --seed $(SEED) --queries "$(QUERIES)"

# The same with three JobManagers, and coordination clients.
chaos-ha: build
	tests/chaos/ha.py --build $(BUILD) --seed $(SEED) --cycles $(CYCLES)

# The leading JobManager of three killed KILLS times in a row under a Nexmark job: how long nobody served, and the published output.
chaos-leaders: build
	tests/chaos/leaders.py --build $(BUILD) --seed $(SEED) --kills $(KILLS)

# Two of three JobManagers away for AWAY seconds under a running job.
chaos-quorum: build
	tests/chaos/quorum.py --build $(BUILD) --seed $(SEED) --away $(AWAY)

# One frame of a channel lost or doubled, FRAMES times, drawn from SEED: each is caught by the next checkpoint.
chaos-frames: build
	tests/chaos/frames.py --build $(BUILD) --seed $(SEED) --frames $(FRAMES)

# Histories of clients of three real coordination peers under kills and stops: HISTORIES of them, drawn from SEED.
chaos-coord: build
	$(BUILD)/tests/peer_histories --seed $(SEED) --histories $(HISTORIES)

lint: deps
	tests/lint/includes
	tests/lint/tree

format: clang-deps
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build build-*
