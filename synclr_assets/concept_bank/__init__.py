"""The concept bank: one YAML file per bucket of concepts, read, checked and budgeted (SynCLR 3.4, App. A).

The front door for other packages. Knows no Dagster, no tensors and no store; draws no caption.
"""

from synclr_assets.concept_bank.allocation import allocate
from synclr_assets.concept_bank.bank import ConceptBank, concept_folder, read_bank
from synclr_assets.concept_bank.bucket import TEMPLATES, Bucket, Concept, template_shares_of
from synclr_assets.concept_bank.problems import Problem

__all__ = [
    "TEMPLATES",
    "Bucket",
    "Concept",
    "ConceptBank",
    "Problem",
    "allocate",
    "concept_folder",
    "read_bank",
    "template_shares_of",
]
