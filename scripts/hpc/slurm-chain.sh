#!/bin/bash
# Upload with figup on any Slurm, also where nothing may be requeued: a chain of jobs, one after the other.
#
#   scripts/hpc/slurm-chain.sh 5 results.h5 --item 1234567
#
# Each job of the chain runs the same command: it continues where the one before stopped, for whatever reason. Those that
# find everything done verify it, send nothing and end with 0. The log is in the current folder, and so is the state, in
# figup-state, unless FIGUP_STATE_DIR names another folder that all nodes see.
set -euo pipefail

jobs=$1
shift
for ((n = 1; n <= jobs; n++)); do
  # --dependency=singleton: after all earlier jobs of the same name have ended, whether well or not.
  sbatch --parsable --job-name="${FIGUP_CHAIN:-figup-chain}" --dependency=singleton "$(dirname "$0")/slurm-srun.sh" "$@"
done
