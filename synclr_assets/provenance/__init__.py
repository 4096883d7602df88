"""Who was made from what: recording models and scores, and walking the links both ways. Knows no Dagster."""
