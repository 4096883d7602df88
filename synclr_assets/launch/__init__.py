"""Starting training and evaluation in a process of their own, through Dagster Pipes."""
