# shellcheck shell=bash
# Shared by the batch scripts: starts the ranks, stops them at a checkpoint when Slurm takes the nodes away, and puts the
# job back into the queue. The scripts source it in the job's folder: by default the one in which sbatch was called.
#
#   CONVOY    the program, or a command with its options ("apptainer run --nv convoy.sif"); default: build/gpu/convoy or
#             build/cpu/convoy of this clone, otherwise convoy on the path
#   LAUNCHER  srun, mpirun or another command with its options; default: srun if it supports PMIx, otherwise mpirun
#   REQUEUE   `no`: the job of a run that was stopped ends instead of going back into the queue

home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)  # the clone
# Settings of this cluster. `module load` does not work under `set -u`.
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

# The run folder, unless --output names another. The job's id and its index in an array stay the same when the job is
# requeued, and no other job has them. So a job finds its own checkpoints and no other's. Runs of an array share a folder.
run_folder() {
  echo "runs/$SLURM_JOB_NAME-${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+/$SLURM_ARRAY_TASK_ID}"
}

# choose_program PRESET: sets `program`, an array of words.
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
    # Without PMIx every task of srun would think that it is the only rank.
    if srun --mpi=list 2>&1 | grep -qw pmix; then launcher=srun; else launcher=mpirun; fi
  fi
  case $launcher in
    # --wait instead of --kill-on-bad-exit, which would kill a rank that still writes the checkpoint as soon as another has
    # ended with 75. Ranks end each other when one fails; --wait is for a rank that is stopped and cannot end itself.
    srun) launch=(srun --mpi=pmix --wait=30 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --cpu-bind=cores) ;;
    # Open MPI reads Slurm's allocation. Without --bind-to none it would bind all threads of a rank to one core.
    mpirun) launch=(mpirun -np "$SLURM_NTASKS" --bind-to none -x OMP_NUM_THREADS) ;;
    *) read -ra launch <<<"$launcher" ;;
  esac
}

# train PRESET CONFIG [ARGUMENT ...]: `convoy train`, from the newest checkpoint if there is one. A CONFIG that is not in
# the job's folder is looked for in the clone.
train() {
  local program step='' stopping='' status
  choose_program "$1"
  shift
  if [ ! -e "$1" ] && [ -e "$home/$1" ]; then set -- "$home/$1" "${@:2}"; fi
  case " $* " in *" --output"[=\ ]*) ;; *) set -- "$@" --output "$(run_folder)" ;; esac
  case " $* " in *" --resume"[=\ ]*) ;; *) set -- "$@" --resume auto ;; esac
  export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
  choose_launcher

  # Slurm signals only this shell (--signal=B:USR1). The launcher passes the signal on to all ranks.
  trap 'stopping=yes; if [ -n "$step" ]; then kill -USR1 "$step" || true; fi' USR1
  echo "== $(date '+%F %T') job $SLURM_JOB_ID, start $((${SLURM_RESTART_COUNT:-0} + 1)): ${launch[*]} ${program[*]} train $*"
  "${launch[@]}" "${program[@]}" train "$@" &
  step=$!
  while :; do
    status=0
    wait "$step" || status=$?
    # A signal ends `wait`, but not the process that it waits for.
    if [ "$status" -le 128 ] || ! kill -0 "$step" 2>/dev/null; then break; fi
  done
  trap - USR1

  # 75: stopped at a checkpoint. 128+10: the signal came before the program handled it, so there is nothing to save.
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
