"""Everything a person sees: console, progress, summary, log output."""
