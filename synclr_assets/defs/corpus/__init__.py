"""Dagster definitions of one part of the graph: one file holds one stage, its checks and its config."""
