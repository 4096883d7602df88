"""The SynCLR trainer: recipes, shards, losses, training, export and evaluations. Knows no orchestrator."""
