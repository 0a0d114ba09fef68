# Thin front of CMake. `make demo` and `make test` work as the only command on a fresh Debian 12.
BUILD ?= build
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?=
PACKAGES = build-essential cmake ninja-build pkg-config git ca-certificates libzmq3-dev libczmq-dev libmsgpack-dev librocksdb-dev libsodium-dev \
  libxxhash-dev libisal-dev libck-dev libjansson-dev libfyaml-dev libsmartcols-dev libjemalloc-dev zlib1g-dev libzstd-dev libcmocka-dev python3 \
  iproute2 zstd
LINT_PACKAGES = clang clang-format libclang-rt-14-dev
SUDO = $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: all deps lint-deps build demo test bench sanitize tsan fuzz sim lint format clean

all: build

# Installs what is missing and nothing else; silent when all is there.
deps:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then echo "installing:" $$missing; $(SUDO) apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

lint-deps: deps
	@$(MAKE) --no-print-directory deps PACKAGES="$(LINT_PACKAGES)"

build: deps
	@cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@cmake --build $(BUILD) -j $(JOBS)

test: build
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

clean:
	rm -rf build build-*
