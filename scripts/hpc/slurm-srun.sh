#!/bin/bash
# Upload with figup in one job, until its time limit. To continue, submit it again: slurm-chain.sh does.
#
#   sbatch slurm-srun.sh results.h5 --item 1234567
#
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --output=figup-%j.log
# To the step that srun starts, 90 to 120 s before the limit; without srun nobody would get it.
#SBATCH --signal=TERM@90
# The next job of a chain continues, so that no requeue is needed.
#SBATCH --no-requeue

# --join: where a job before it still works, on a node that Slurm has lost, this one helps, and continues alone after it.
# --state-dir: where all nodes see it, so that each job of the chain continues. FIGUP_STATE_DIR names another folder.
# --exclude: the logs of the other jobs of the chain, which may be in the folder that is sent.
exec srun --ntasks=1 figup upload --deadline auto --grace 60s --join --state-dir "${FIGUP_STATE_DIR:-$PWD/figup-state}" \
  --exclude 'figup-*.log' "$@"
