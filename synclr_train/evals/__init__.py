"""Scores of a frozen encoder on real images, each beside its baselines; nothing here trains an encoder."""
