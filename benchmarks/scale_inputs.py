"""`python -m benchmarks.scale_inputs SLICE`: what a training on the slice is given, in a process of its own."""

import os
import sys

from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.environment import store_root
from synclr_assets.provenance.inputs import model_id_of, training_inputs
from synclr_assets.store.store import Store


def main(slice_name: str) -> None:
    """Read the inputs and print what the model would be called."""
    buckets = read_bank(concept_folder(os.environ)).slices[slice_name]
    inputs = training_inputs(Store(store_root(os.environ)), slice_name, buckets)
    print(f"{len(inputs.shards)} shards, model {model_id_of(inputs, 'recipe', 0)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
