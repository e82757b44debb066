# shellcheck shell=bash
# Settings of your cluster, in one place. Copy this file to slurm/site.sh, which Git does not track, and keep what applies.
# The batch scripts source it before they start anything, slurm/submit before it calls sbatch.

# Partition and account. sbatch reads them (slurm/submit); its own options override them.
# export SBATCH_PARTITION=gpu
# export SBATCH_ACCOUNT=my-project

# Modules that the program was built with. The wheel needs only MPI, for several ranks.
# module load gcc/12 openmpi/4.1.5 cuda/12.4

# The program, if it is not build/gpu or build/cpu of this clone: a wheel in a virtual environment, or an image.
# CONVOY=$HOME/convoy-env/bin/convoy
# CONVOY="apptainer run --nv $HOME/convoy.sif"

# The launcher, if neither srun --mpi=pmix nor mpirun works.
# LAUNCHER="srun --mpi=pmi2"
