#!/bin/bash
# Upload with figup under PBS (OpenPBS, PBS Pro, Torque): a chain of jobs, one after the other.
#
#   first=$(qsub pbs.sh)
#   qsub -W depend=afterany:"$first" pbs.sh
#
#PBS -N figup
#PBS -l walltime=04:00:00
#PBS -j oe

cd "$PBS_O_WORKDIR" || exit 2
# PBS signals the processes of the job at its limit, shortly before it kills them. Neither OpenPBS nor PBS Pro tells a job
# how long it may run, so say it: a little less than the walltime.
# --join: where a job before it still works, on a node that PBS has lost, this one helps, and continues alone after it.
# --state-dir: where all nodes see it, so that each job of the chain continues. FIGUP_STATE_DIR names another folder.
# --exclude: the logs of the jobs of the chain, which may be in the folder that is sent.
exec figup upload --deadline 3h55min --grace 60s --join --state-dir "${FIGUP_STATE_DIR:-$PWD/figup-state}" \
  --exclude 'figup.o*' "${FIGUP_SOURCE:-results.h5}" --item "${FIGUP_ITEM:-1234567}"
