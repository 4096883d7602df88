"""The card says what the encoder was made from, opens with readable front matter, and invents nothing."""

import yaml

from synclr_train.export import timm_config
from synclr_train.model_card import CardScore, Generator, InputData, Provenance, model_card

WHOLE = Provenance(
    model_id="ab12",
    slice_name="all",
    recipe_departures=({"what": "depth", "paper": "12", "here": "2", "why": "cores"},),
    inputs=(InputData("fruit", 3, 20, 60, ("c0ffee", "decade")),),
    generators=(
        Generator("images", "painter", "r7", "OpenRAIL-M", 80, ("Pass the restrictions on.",)),
        Generator("captions", "evil|<script>", "r1", "Apache-2.0", 20),
    ),
    scores=(CardScore("digits", "test", "mean_iou", "model", 0.543, 0.52, 0.56, "upernet", "feed"),),
)


def card(recipe, provenance, **changes):
    return model_card(timm_config(recipe), "5ha", provenance, **({"has_transformers": True} | changes))


def test_front_matter_is_yaml_a_hub_reads(tiny_recipe):
    _, front, _ = card(tiny_recipe(), WHOLE).split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["library_name"] == "timm"
    assert "transformers" in matter["tags"]
    _, front, _ = card(tiny_recipe(), WHOLE, has_transformers=False).split("---\n", 2)
    assert "transformers" not in yaml.safe_load(front)["tags"]


def test_provenance_is_all_there(tiny_recipe):
    text = card(tiny_recipe(), WHOLE)
    for said in (
        "| slice | all |",
        "| model id | ab12 |",
        "| fruit | 3 | 20 | 60 | 2 |",
        "c0ffee  fruit generation 3",
        "| images | painter | r7 | OpenRAIL-M | 80 |",
        "- Pass the restrictions on.",
        "| digits | test | mean_iou | model | 54.3 (52.0 to 56.0) | upernet feed |",
        "| depth | 12 | 2 | cores |",
        "5ha",
    ):
        assert said in text, said


def test_a_name_can_neither_leave_its_cell_nor_become_markup(tiny_recipe):
    assert "| captions | evil\\|&lt;script> |" in card(tiny_recipe(), WHOLE)


def test_what_is_not_known_is_said_to_be_unknown(tiny_recipe):
    text = card(tiny_recipe(), Provenance())
    assert text.count("not recorded in this export") == 2
    assert "None recorded in this export." in text
