"""Running a causal language model. The one corner of synthesis whose modules import torch and transformers.

`transformers_captions` imports them when it loads weights; nothing that Dagster loads does.
"""
