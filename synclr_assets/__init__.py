"""The platform: from concept buckets to shards, models and scores, on Dagster. Importing it loads nothing."""
