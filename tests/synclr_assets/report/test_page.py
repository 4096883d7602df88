"""The page: everything a model was made from, in one file that loads nothing and trusts no text."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from synclr_assets.report.page import (
    ReportNotWrittenError,
    class_tables,
    departures_of,
    render_report,
    write_report,
)
from synclr_assets.report.scores import comparisons_of
from synclr_assets.store.errors import UnknownIdError
from synclr_assets.store.tables import rows_of
from synclr_train.recipes import get_recipe
from tests.synclr_assets.report.trained_store import DEPARTURE, MODEL_ID, Trained, append, jpeg, score, scores

LOSS = (
    "With 94.1 % in kNN accuracy on sklearn_digits (test) the model loses to raw pixels "
    "(98.4 %, intervals do not overlap)."
)


class Page(HTMLParser):
    """Tags with their attributes, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(
            " ".join(self.pieces).replace("\u00a0", " ").replace("\u202f", " ").replace("\u2013", "-").split()
        )


@pytest.fixture
def page(trained: Trained) -> Page:
    append(trained.store, "evals", scores())
    return Page(render_report(trained.store, MODEL_ID))


def test_the_page_names_model_slice_recipe_and_weights(page: Page) -> None:
    for fact in (MODEL_ID, "Slice everything, recipe rehearsal", "abababababababab", "2026-01-01 12:30"):
        assert fact in page.text


def test_the_headline_stands_beside_its_baselines(page: Page) -> None:
    line = "on sklearn_digits: 95.0 % , against 87.7 % for random weights and 92.0 % for raw pixels."
    assert line in page.text


def test_the_page_counts_what_the_model_was_made_from(page: Page) -> None:
    assert "Trained on 12 synthetic captions and 48 images" in page.text
    assert "objects 0 6 2 2 2 24 1" in page.text
    assert "textures 2 6 6 0 0 24 1" in page.text
    assert "It read 45 captions in all" in page.text


def test_the_page_names_generators_licences_losses_costs_and_versions(page: Page) -> None:
    assert "captions grammar-7 r1 Apache-2.0 cccccccccccc 12" in page.text
    assert "images painter-9 r2 OpenRAIL-M dddddddddddd 48" in page.text
    assert "images blank_image 1" in page.text
    assert "images 48 - - - 3 min 0 s - 10.0 kB -" in page.text
    assert "shards 41" in page.text


def test_another_bucket_generation_is_not_counted(trained: Trained) -> None:
    before = render_report(trained.store, MODEL_ID)
    stranger = {
        "bucket": "objects",
        "generation": 1,
        "stage": "images",
        "reason": "other",
        "caption_id": "a" * 32,
    }
    append(trained.store, "quarantine", [stranger])
    append(trained.store, "enriched_captions", [{"bucket": "objects", "generation": 1, "template": "c_odd"}])
    assert render_report(trained.store, MODEL_ID) == before


def test_sample_captions_come_with_their_four_images_and_ids(page: Page, trained: Trained) -> None:
    views = [
        attrs for tag, attrs in page.tags if tag == "img" and (attrs["alt"] or "").startswith("A view of")
    ]
    assert len(views) == 4 * 12
    assert all((attrs["src"] or "").startswith("data:image/jpeg;base64,") for attrs in views)
    for identity in (identity for ids in trained.caption_ids.values() for identity in ids):
        assert identity[:8] in page.text


def test_text_from_tables_cannot_become_markup(page: Page) -> None:
    assert "script" not in {tag for tag, _ in page.tags}
    assert "A view of <script>alert(1)</script>, number 0" in page.text


def test_the_page_loads_nothing(trained: Trained) -> None:
    append(trained.store, "evals", scores())
    html = render_report(trained.store, MODEL_ID)
    for tag, attrs in Page(html).tags:
        assert tag not in {"link", "script", "iframe", "object"}
        for name in ("src", "href", "srcset", "action"):
            value = attrs.get(name) or ""
            assert not value or value.startswith(("data:", "#")), (tag, value[:80])
    assert not re.search(r"url\(|@import", html)
    assert "default-src 'none'" in html


def test_the_page_is_the_same_every_time(trained: Trained) -> None:
    assert render_report(trained.store, MODEL_ID) == render_report(trained.store, MODEL_ID)


def test_scores_by_class_and_the_sentence_where_it_loses(page: Page) -> None:
    assert LOSS in page.text
    assert "zero 95.0 % 87.7 % 92.0 %" in page.text


def test_a_model_without_scores_says_so_in_words(trained: Trained) -> None:
    text = Page(render_report(trained.store, MODEL_ID)).text
    assert "It has not been evaluated yet." in text
    assert "There is no linear probe score yet" in text
    assert "There is no segmentation score yet" in text
    assert "The segmentation step has left no overlays" in text


def test_a_model_whose_folder_is_empty_still_has_a_page(trained: Trained) -> None:
    trained.store.location.local_path(f"{trained.model['key']}/metrics.csv").unlink()
    assert "holds no metrics.csv" in Page(render_report(trained.store, MODEL_ID)).text


def test_what_the_evaluations_left_is_shown(trained: Trained) -> None:
    folder = trained.store.location.local_path(trained.model["key"]) / "evals"
    (folder / "segmentation").mkdir(parents=True)
    (folder / "linear_probe").mkdir()
    (folder / "segmentation" / "pca.png").write_bytes(jpeg(9))
    details = {"classes": ["zero", "one"], "confusion": {"model": [[3, 1], [0, 5]]}}
    (folder / "linear_probe" / "scores.json").write_text(json.dumps(details), encoding="utf-8")
    append(trained.store, "evals", scores())
    text = Page(render_report(trained.store, MODEL_ID)).text
    assert "three principal components" in text
    assert "left no overlays" not in text
    assert "truth zero one zero 75 25 one 100" in text


def test_departures_come_from_the_recorded_recipe(page: Page) -> None:
    assert " ".join(DEPARTURE.values()) in page.text


def test_departures_of_a_named_recipe_are_looked_up_and_of_an_unknown_one_unknown() -> None:
    assert departures_of({"name": "vit_l14"}) == [
        each.model_dump() for each in get_recipe("vit_l14").departures
    ]
    assert departures_of({"name": "my-own"}) is None
    assert departures_of({"name": "my-own", "departures": []}) == []


def test_the_commands_name_every_bucket_generation_and_the_model(page: Page) -> None:
    assert "synclr materialize textures --generation 2 --only dataset" in page.text
    assert "--recipe rehearsal --steps 600 --seed 7" in page.text
    assert '--shards "$SYNCLR_STORE/shards/textures/g0002/*.tar"' in page.text
    assert "synclr materialize everything --only model --recipe rehearsal" in page.text
    assert f"synclr lineage model {MODEL_ID}" in page.text


def test_many_classes_are_cut_to_the_lowest() -> None:
    per_class = [{"name": f"class {n:03}", "value": n / 100} for n in range(100)]
    ((_, names, hidden),) = class_tables(
        comparisons_of([score("model", "knn_accuracy", 0.5, per_class=per_class)])
    )
    assert (names[0], names[-1], hidden) == ("class 000", "class 029", 70)


def test_the_report_survives_the_loss_of_its_data(trained: Trained) -> None:
    for table in ("shards", "shard_members", "enriched_captions", "images"):
        trained.store.tables.replace(table, "bucket = 'objects' OR bucket = 'textures'", rows_of(table, []))
    text = Page(render_report(trained.store, MODEL_ID)).text
    assert "None of its shards is in the store any more" in text
    assert "Trained on 12 synthetic captions" in text


def test_write_report_leaves_one_whole_file(trained: Trained, tmp_path: Path) -> None:
    target = write_report(trained.store, MODEL_ID[:10], tmp_path / "new" / "report.html")
    assert os.listdir(target.parent) == ["report.html"]
    assert target.read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_an_unknown_model_is_one_sentence_and_no_file(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(UnknownIdError, match="No model 'ffff'"):
        write_report(trained.store, "ffff", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_target_that_is_a_folder_is_one_sentence(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ReportNotWrittenError, match=r"cannot be written to .*: name a file"):
        write_report(trained.store, MODEL_ID, tmp_path)
