"""Reporting only; the engine never reads this."""
