#!/bin/sh
#SBATCH --job-name=dockercomp
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
# A worker for as long as the job lasts: sbatch slurm.sh. It needs a Docker Engine on the node that the user may use, and
# DC_HOST, DC_PORT, DC_SCHEME and DC_TOKEN in the environment (sbatch passes it on), or DC_CONFIGURATION naming a file.
# Further options of the worker may be given as arguments, such as --chunks 100.
export DC_CPUS="${SLURM_CPUS_PER_TASK:-1}" DC_MEMORY="${SLURM_MEM_PER_NODE:-4096}MiB"
export DC_NAME="${SLURMD_NODENAME:-$(hostname)}-${SLURM_JOB_ID:-0}"
# The end of the job, for Slurms that do not tell it: a minute before it the worker is gone.
: "${SLURM_JOB_END_TIME:=$(date -d "$(squeue -h -j "$SLURM_JOB_ID" -o %e)" +%s)}"
export SLURM_JOB_END_TIME
exec "${DOCKERCOMP_WORKER:-dockercomp-worker}" run --ephemeral --until -60 --grace 60 "$@"
