# The verbs of this project; the work is done by CMake and by the programs in tools/.
# Another build folder: make BUILD=build-other test. More parallel jobs: make JOBS=8 build.

BUILD ?= build
JOBS  ?= $(shell nproc)
ARGS  ?=

OPS := gemm add cross_entropy cross_entropy_backward norm norm_backward reduce softmax softmax_backward

.DEFAULT_GOAL := help
.PHONY: help setup configure build run test gpu-check bench-all docs format lint clean

help:  ## show this list
	@awk -F ':.*## *' '/^[a-z%-]+:.*##/ {sub("%", "<op>", $$1); printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "<op> is one of: $(OPS). Further arguments of the ckl command go in ARGS, as in: make bench-gemm ARGS='--json out.json'"

setup:  ## bring what the build needs; does nothing when all is there
	@tools/setup $(BUILD)

configure: setup
	@test -f $(BUILD)/build.ninja || cmake --log-level=NOTICE -G Ninja -S . -B $(BUILD)

build: configure  ## build everything
	@cmake --build $(BUILD) -j $(JOBS)

run: configure  ## show the operators at work on a Hopper GPU, or else under the emulator
	@cmake --build $(BUILD) -j $(JOBS) --target run_requirements
	@tools/run $(BUILD)

test: build  ## run every test that this machine can run
	@tools/run_tests $(BUILD)

gpu-check: setup  ## validate a machine with a Hopper GPU; goes on where it was interrupted
	@tools/gpu_check $(BUILD) $(ARGS)

ckl: configure
	@cmake --build $(BUILD) -j $(JOBS) --target ckl_command

bench-%: ckl  ## measure one operator against the vendor
	@$(BUILD)/bin/ckl bench $* $(ARGS)

bench-all: ckl  ## measure all of them
	@$(BUILD)/bin/ckl bench all $(ARGS)

tune-%: ckl  ## find the best config for one operator on this GPU
	@$(BUILD)/bin/ckl tune $* $(ARGS)

profile-%: ckl  ## show what bounds one operator, with Nsight Compute
	@$(BUILD)/bin/ckl profile $* $(ARGS)

docs: configure  ## make the API's pages; any warning is an error
	@cmake --build $(BUILD) --target docs

format:  ## format the C++ sources
	@tools/setup --lint $(BUILD)
	@tools/format

lint:  ## check format, the rules of the kernels and clang-tidy
	@tools/setup --lint $(BUILD)
	@tools/format --check
	@tools/lint
	@tools/tidy $(BUILD)

clean:  ## remove what was built, keep what was downloaded
	@test ! -f $(BUILD)/build.ninja || cmake --build $(BUILD) --target clean
