"""Running the platform for months: what is stale, what to make next, what to drop. Knows no Dagster."""
