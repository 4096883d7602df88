"""The corpus and dataset stages: each reads the stage before, calls one generator, and commits in fenced batches.

Knows the store and the generators' protocols; knows no Dagster and no concrete generator.
"""
