"""Re-checking a whole store: every checksum, count and reference, and what can be rebuilt. Knows no Dagster."""
