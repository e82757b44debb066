# shellcheck shell=bash
# What the batch scripts share: starting the ranks, stopping them at a checkpoint when Slurm takes the nodes away, and
# going on afterwards. Sourced by them in the folder that the job works in, which sbatch was called in unless told.
#
#   CONVOY    the program, or a command with its options ("apptainer run --nv convoy.sif"); unless told build/gpu/convoy or
#             build/cpu/convoy of the clone that these scripts lie in, else what the path has
#   LAUNCHER  srun, mpirun or a command of your own with its options; unless told srun where it knows PMIx, else mpirun
#   REQUEUE   `no`: a run that was stopped ends the job instead of going back into the queue

home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)  # the clone
# What this cluster wants. Loading modules is not written for `set -u`.
if [ -f "$home/slurm/site.sh" ]; then
  set +u
  # shellcheck source=/dev/null
  source "$home/slurm/site.sh"
  set -u
fi

die() {
  echo "error: $*" >&2
  exit 1
}

usage() {
  echo "usage: sbatch [OPTIONS] $1" >&2
  exit 2
}

# Where the run lives unless --output says so. Neither the job's id nor its place in an array change when it is requeued,
# and no other job has them: so it finds its own checkpoints again, and nobody else's. Runs of an array share a folder.
run_folder() {
  echo "runs/$SLURM_JOB_NAME-${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+/$SLURM_ARRAY_TASK_ID}"
}

# choose_program PRESET: sets `program`, its words.
choose_program() {
  program=("${CONVOY:-$home/build/$1/convoy}")
  if [ -z "${CONVOY:-}" ] && [ ! -x "${program[0]}" ] && command -v convoy >/dev/null; then program=(convoy); fi
  if [ ! -x "${program[0]}" ]; then read -ra program <<<"${program[0]}"; fi  # several words
  command -v "${program[0]}" >/dev/null || die "${program[0]} is not there; build it (cmake --preset $1 && cmake --build build/$1" \
    "in $home), or install the wheel and name its program: CONVOY=PATH in $home/slurm/site.sh"
}

# Sets `launch`, the command that starts a rank per task.
choose_launcher() {
  local launcher=${LAUNCHER:-}
  if [ -z "$launcher" ]; then
    # Without PMIx every task of srun would believe to be alone.
    if srun --mpi=list 2>&1 | grep -qw pmix; then launcher=srun; else launcher=mpirun; fi
  fi
  case $launcher in
    # --wait rather than --kill-on-bad-exit: that would kill a rank that still writes the checkpoint as soon as another has
    # left with 75. Ranks end each other when one fails; this is for one that is stopped and cannot.
    srun) launch=(srun --mpi=pmix --wait=30 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --cpu-bind=cores) ;;
    # OpenMPI reads Slurm's allocation. Left to itself it would bind all threads of a rank to one core.
    mpirun) launch=(mpirun -np "$SLURM_NTASKS" --bind-to none -x OMP_NUM_THREADS) ;;
    *) read -ra launch <<<"$launcher" ;;
  esac
}

# train PRESET CONFIG [ARGUMENT ...]: `convoy train`, from the newest checkpoint where there is one. A CONFIG that is not in
# the job's folder is one of the clone.
train() {
  local program step='' stopping='' status
  choose_program "$1"
  shift
  if [ ! -e "$1" ] && [ -e "$home/$1" ]; then set -- "$home/$1" "${@:2}"; fi
  case " $* " in *" --output"[=\ ]*) ;; *) set -- "$@" --output "$(run_folder)" ;; esac
  case " $* " in *" --resume"[=\ ]*) ;; *) set -- "$@" --resume auto ;; esac
  export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
  choose_launcher

  # Slurm signals this shell alone (--signal=B:USR1); the launcher passes it on to all ranks.
  trap 'stopping=yes; if [ -n "$step" ]; then kill -USR1 "$step" || true; fi' USR1
  echo "== $(date '+%F %T') job $SLURM_JOB_ID, start $((${SLURM_RESTART_COUNT:-0} + 1)): ${launch[*]} ${program[*]} train $*"
  "${launch[@]}" "${program[@]}" train "$@" &
  step=$!
  while :; do
    status=0
    wait "$step" || status=$?
    # A signal ends `wait`, not what it waits for.
    if [ "$status" -le 128 ] || ! kill -0 "$step" 2>/dev/null; then break; fi
  done
  trap - USR1

  # 75: stopped at a checkpoint. 128+10: before the program could listen, so there is nothing to save.
  if [ "$status" = 75 ] || { [ -n "$stopping" ] && [ "$status" = 138 ]; }; then
    if [ "${REQUEUE:-}" = no ]; then
      echo "== stopped on request; not requeued: REQUEUE=no"
    else
      echo "== stopped on request; back into the queue"
      scontrol requeue "$SLURM_JOB_ID" || die "cannot requeue job $SLURM_JOB_ID; submit it again with --output $(run_folder)"
      sleep 60  # Slurm ends this script
    fi
  fi
  exit "$status"
}
