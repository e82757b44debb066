# shellcheck shell=bash
# What this cluster wants, in one place: copy it to slurm/site.sh, which Git does not track, and keep what applies. The batch
# scripts source it before they start anything, slurm/submit before it calls sbatch.

# Where jobs go and who pays; read by sbatch (slurm/submit), whose own options overrule them.
# export SBATCH_PARTITION=gpu
# export SBATCH_ACCOUNT=my-project

# What the program was built with. With the wheel only MPI, for several ranks.
# module load gcc/12 openmpi/4.1.5 cuda/12.4

# The program, where it is not build/gpu or build/cpu of this clone: a wheel in a virtual environment, or an image.
# CONVOY=$HOME/convoy-env/bin/convoy
# CONVOY="apptainer run --nv $HOME/convoy.sif"

# How ranks are started, where srun --mpi=pmix and mpirun are both wrong.
# LAUNCHER="srun --mpi=pmi2"
