"""The concept bank: one YAML file per bucket of concepts, read, checked and budgeted (SynCLR 3.4, App. A).

Knows no Dagster, no tensors and no store; draws no caption.
"""
