"""`python -m benchmarks.scale_inputs SLICE [MODEL_ID]`: what a training on the slice is given, in a process of its own.

With a model id also the record that such a training leaves.
"""

import os
import sys

from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.environment import store_root
from synclr_assets.provenance.inputs import TrainingInputs, model_id_of, training_inputs
from synclr_assets.provenance.models import TrainedModel, record_model
from synclr_assets.store.store import Store


def main(slice_name: str, model_id: str | None = None) -> None:
    """Read the inputs and print what the model would be called."""
    buckets = read_bank(concept_folder(os.environ)).slices[slice_name]
    store = Store(store_root(os.environ))
    inputs = training_inputs(store, slice_name, buckets)
    print(f"{len(inputs.shards)} shards, model {model_id_of(inputs, 'recipe', 0)}")
    if model_id is not None:
        record_model(store, inputs, trained(model_id, inputs))


def trained(model_id: str, inputs: TrainingInputs) -> TrainedModel:
    """A training that read every caption once."""
    return TrainedModel(
        model_id=model_id,
        recipe="rehearsal",
        recipe_json="{}",
        recipe_fingerprint="recipe",
        seed=0,
        steps=1,
        final_loss=1.0,
        effective_rank=9.0,
        code_version="0",
        weights_sha256="0" * 64,
        seconds=1.0,
        device="cpu",
        captions_read={shard.key: shard.num_captions for shard in inputs.shards},
        images_read={shard.key: 4 * shard.num_captions for shard in inputs.shards},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
