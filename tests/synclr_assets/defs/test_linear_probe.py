"""The first data set asked for carries the verdict; settings may name one data set or several."""

import pytest

from synclr_assets.defs.model.linear_probe import headline_probe
from synclr_assets.launch.tasks import TASKS, ProbeTask
from synclr_assets.profiles import TrainerSection


def score(dataset: str, metric: str) -> dict:
    return {"dataset": dataset, "metric": metric, "subject": "model", "value": 0.5}


SCORES = [
    score("flowers", "linear_probe_mean_per_class"),
    score("flowers", "knn_mean_per_class"),
    score("folder:birds", "linear_probe_accuracy"),
    score("sklearn_digits", "linear_probe_accuracy"),
]


@pytest.mark.parametrize(
    ("asked", "dataset"),
    [("flowers:/data", "flowers"), ("folder:/data/birds/", "folder:birds"), ("sklearn_digits",) * 2],
)
def test_the_headline_is_the_linear_probe_of_the_first_set(asked, dataset):
    (found,) = headline_probe(SCORES, asked)
    assert found["dataset"] == dataset
    assert found["metric"].startswith("linear_probe_")


def test_one_name_stays_valid_beside_a_list():
    assert TrainerSection().probe_datasets == ("sklearn_digits",)
    assert TrainerSection(probe_dataset="dtd:/data").probe_datasets == ("dtd:/data",)
    listed = TrainerSection.model_validate_json('{"probe_dataset": ["dtd:/data", "flowers:/data"]}')
    assert listed.probe_datasets == ("dtd:/data", "flowers:/data")


def test_an_empty_list_is_told():
    with pytest.raises(ValueError, match=r"trainer\.probe_dataset is an empty list"):
        _ = TrainerSection(probe_dataset=()).probe_datasets


def test_a_probe_task_reaches_the_child_whole():
    task = ProbeTask(
        encoder_dir="/m", out_dir="/o", datasets=("a", "b"), split="test", baselines=(), cache_dir="/c"
    )
    assert TASKS.validate_python(task.model_dump(mode="json")) == task
