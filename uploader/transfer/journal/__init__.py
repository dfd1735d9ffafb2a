"""The record of a job: events, lifecycle, state, plan, recovery and the log file. All but `log` is pure."""
