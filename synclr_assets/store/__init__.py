"""The only place that knows where bytes live: locations, Delta tables, fenced transactions, blobs. Knows no Dagster."""
