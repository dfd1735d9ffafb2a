#!/bin/bash
# Upload with figup; requeued until everything is verified. Usage: sbatch SCRIPT results.h5 --item 1234567
#SBATCH --job-name=figup
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --output=figup-%j.log
# Keep what earlier runs wrote.
#SBATCH --open-mode=append
# Restart elsewhere after the failure of a node, and when this script asks for it.
#SBATCH --requeue
# A last warning for this shell, 90 to 120 s before the limit; figup itself stops in time (deadline).
#SBATCH --signal=B:TERM@90

# A task of an array has its own name. SLURM_JOB_ID of one of them means the whole array: requeueing that would
# restart every task, also those that are done.
me=$SLURM_JOB_ID
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then me=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi

# Slurm's signal reaches only this shell, which must not wait in the foreground, and passes it on.
figup=
trap 'signalled=1; if [ -n "$figup" ]; then kill -TERM "$figup" 2>/dev/null; fi' TERM
figup upload --deadline auto --grace 60s --exclude 'figup-*.log' "$@" &
figup=$!
# A trap ends `wait` early. Wait again, until figup has ended and its own exit status is known.
while signalled=; wait "$figup"; status=$?; [ -n "$signalled" ]; do :; done

# 75: interrupted, run it again. 143: the same, before figup had even started. 8 after a restart: the process that a
# failed node left behind still works on the job. Not forever: 75 can also mean that the network is gone.
restarts=${SLURM_RESTART_COUNT:-0} again=
case $status in
75 | 143) again=1 ;;
8) if [ "$restarts" -gt 0 ]; then again=1; fi ;;
esac

# `scancel` must end the job for good. The job is completing then, but not because of its limit or of preemption.
is_cancelled() {
  local state reason preempted
  read -r state reason preempted < <(
    unset "${!SQUEUE_@}" # they may hide the job
    timeout 5 squeue -h -j "$me" -O StateCompact:9,Reason:33,PreemptTime:33 2>/dev/null
  )
  [ "$state" = CG ] && [ "$reason" != TimeLimit ] && [ "$preempted" = N/A ]
}

# More than once: Slurm's controller may be restarting.
for try in 1 2 3 4 5 6; do
  if [ -z "$again" ] || [ "$restarts" -ge 20 ] || is_cancelled; then break; fi
  if timeout 10 scontrol requeue "$me"; then sleep 60 && break; fi # until Slurm ends this script
  sleep 2
done
exit "$status"
