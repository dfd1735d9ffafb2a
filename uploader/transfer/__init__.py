"""The heart: lifecycle, journal, source, digest, pace, engine, job."""
