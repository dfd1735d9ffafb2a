#!/bin/bash
# Upload with figup without any scheduler, for example in tmux on a transfer node: again until it does not say 75.
#
#   loop.sh results.h5 --item 1234567
#
# FIGUP_PAUSE: seconds between two runs.

for ((run = 1; run <= 20; run++)); do
  figup upload "$@"
  status=$?
  if [ "$status" != 75 ]; then break; fi
  sleep "${FIGUP_PAUSE:-60}"
done
exit "$status"
