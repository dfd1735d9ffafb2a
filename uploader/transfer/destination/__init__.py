"""The job's item: created once, described, listed, searched for lost answers, and concluded."""
