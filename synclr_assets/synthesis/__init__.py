"""Turning concepts into captions and captions into images: pure functions, no Dagster, no torch at import."""
