# shellcheck shell=bash
# Functions that tools/* and .ci/run share. They source this file, which changes to the repository's root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# For programs that tools/setup installs because the system's are too old, also later in the same script.
PATH=$PWD/build/tools/bin:$PATH

say() { printf '== %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The CUDA compiler's path; nothing when there is none.
find_nvcc() {
  command -v nvcc || { [ -x /usr/local/cuda/bin/nvcc ] && echo /usr/local/cuda/bin/nvcc; } || true
}

# The Python of the tests: the one with tests/requirements.txt if tools/setup --checks made it.
find_python() { if [ -x build/venv/bin/python ]; then echo build/venv/bin/python; else echo python3; fi; }

# The number of GPUs that a program started here would see.
gpu_count() {
  local listed=0
  if command -v nvidia-smi >/dev/null; then listed=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU') || listed=0; fi
  if [ "$listed" -gt 0 ] && [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
    listed=$(tr ',' '\n' <<<"$CUDA_VISIBLE_DEVICES" | grep -c '[^[:space:]]') || listed=0
  fi
  echo "$listed"
}

# nproc answers OMP_NUM_THREADS where that is set.
core_count() { env -u OMP_NUM_THREADS nproc; }

# gpu if there are a CUDA toolkit and a GPU, otherwise cpu.
pick_preset() {
  if [ -n "$(find_nvcc)" ] && [ "$(gpu_count)" -gt 0 ]; then echo gpu; else echo cpu; fi
}

# Machine code for the GPUs of this machine only, "75-real;90a-real": five times faster to build than the preset's list.
local_architectures() {
  nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u | tr -d '.' |
    sed -e 's/^90$/90a/' -e 's/$/-real/' | paste -sd ';'
}

# build PRESET [TARGET ...]: configures and builds. The compiler's output is shown only if the build fails.
build() {
  local preset=$1 log=build/$1.log options=("-DCONVOY_WERROR=${CONVOY_WERROR:-OFF}") targets=()
  shift
  mkdir -p build
  if [ "$preset" = gpu ] && [ ! -e build/gpu/CMakeCache.txt ]; then
    local architectures
    architectures=$(local_architectures)
    if [ -n "$architectures" ]; then options+=("-DCMAKE_CUDA_ARCHITECTURES=$architectures"); fi
  fi
  if [ "$preset" != cpu ] && [ "$preset" != asan ]; then
    CUDACXX=${CUDACXX:-$(find_nvcc)}
    export CUDACXX
  fi
  if [ $# -gt 0 ]; then targets=(--target "$@"); fi
  say "building build/$preset (log: $log)"
  if ! { cmake --preset "$preset" "${options[@]}" && cmake --build "build/$preset" -j "$(core_count)" "${targets[@]}"; } \
    >"$log" 2>&1; then
    grep -nE 'error|Error|FAILED|undefined reference' "$log" | head -n 40 >&2 || true
    tail -n 20 "$log" >&2
    die "the build failed; the whole log is $log"
  fi
}

# ranks N COMMAND ...: under mpirun on this machine. The cores are shared out among the ranks' threads. With TIME_LIMIT
# set, all of it ends after so many seconds.
ranks() {
  local count=$1 cores threads options
  shift
  cores=$(core_count)
  threads=$((cores / count))
  if [ "$threads" -lt 1 ]; then threads=1; fi
  options=(-np "$count")
  if mpirun --version 2>/dev/null | grep -q 'Open MPI\|OpenRTE'; then
    # Slots count physical cores and ranks may outnumber them; binding would put all threads of a rank on one core.
    options+=(--bind-to none --oversubscribe -x OMP_NUM_THREADS)
    if [ "$(id -u)" = 0 ]; then options+=(--allow-run-as-root); fi
  fi
  OMP_NUM_THREADS=$threads ${TIME_LIMIT:+timeout "$TIME_LIMIT"} mpirun "${options[@]}" "$@"
}
