"""Near duplicates across commits: an index rebuilt from committed captions judges as the one that saw them drawn."""

from pathlib import Path

import pytest

from synclr_assets.stages.captions import CaptionSettings, duplicate_index, settings_of, write_captions
from synclr_assets.stages.drafting import Said
from synclr_assets.stages.enriched_captions import EnrichmentSettings, write_enriched_captions
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.backgrounds import BackgroundSettings, make_background_writer
from synclr_assets.synthesis.captioners import CaptionerSettings, make_captioner
from synclr_assets.synthesis.near_duplicates import similarity, sketch_of
from tests.synclr_assets.conftest import Stages, content_of, write_bank

BANK = {"fruit.yaml": "captions: 150\nconcepts: [apple, banana]\n"}
FRUIT = Unit("fruit", 0)
STRICT = 0.4
CAPTIONER, PROMPTS = make_captioner(CaptionerSettings()), CaptionerSettings().prompts()


class InterruptedHereError(Exception):
    """Stands for the end of a process."""


def write(store: Store, per_commit: int, last_commit: int | None = None) -> None:
    """Captions and enriched captions under a strict threshold; ends after `last_commit` commits."""
    commits = 0

    def on_progress(done: int, total: int) -> None:
        nonlocal commits
        commits += 1
        if commits == last_commit:
            raise InterruptedHereError

    settings = CaptionSettings(captions_per_commit=per_commit, near_duplicate_similarity=STRICT)
    write_captions(store, FRUIT, CAPTIONER, PROMPTS, settings, on_progress=on_progress)
    write_enriched_captions(
        store,
        FRUIT,
        CAPTIONER,
        make_background_writer(BackgroundSettings()),
        PROMPTS,
        EnrichmentSettings(captions_per_commit=per_commit, near_duplicate_similarity=STRICT),
        on_progress=on_progress,
    )


@pytest.fixture
def stores(tmp_path: Path) -> list[Store]:
    """Three stores with the same plan."""
    bank = write_bank(tmp_path / "concepts", BANK)
    made = [Store(tmp_path / name) for name in ("undisturbed", "interrupted", "enriching")]
    for store in made:
        Stages(bank, store).run("concepts", FRUIT)
    return made


def test_interruptions_and_commit_sizes_change_no_judgement(stores: list[Store]) -> None:
    undisturbed, interrupted, enriching = stores
    write(undisturbed, per_commit=1000)
    for store, per_commit, last_commit in ((interrupted, 31, 2), (enriching, 40, 6)):
        with pytest.raises(InterruptedHereError):
            write(store, per_commit, last_commit)
        write(store, per_commit)
        assert content_of(store) == content_of(undisturbed)
    texts = undisturbed.tables.read("enriched_captions", columns=["text"])["text"].to_pylist()
    sketches = [sketch_of(text).shingles for text in texts]
    most = [max(similarity(s, other) for other in sketches[:n]) for n, s in enumerate(sketches) if n]
    assert sum(value >= STRICT for value in most) <= 0.1 * len(most)
    rows = undisturbed.tables.read("enriched_captions", columns=["attempts"])
    assert max(rows["attempts"].to_pylist()) > 1


def test_the_rebuilt_index_knows_every_committed_text(stores: list[Store]) -> None:
    store = stores[0]
    write(store, per_commit=64)
    tables = store.tables
    index = duplicate_index(tables, ("captions", "enriched_captions"), FRUIT, STRICT)
    texts = tables.read("enriched_captions", columns=["text"])["text"].to_pylist()
    assert {index.reason(Said(text)) for text in texts} == {"duplicate"}
    assert index.reason(Said(texts[0] + " Really!")) == "near_duplicate"
    assert index.reason(Said("A tuba leans on a bollard in the rain.")) is None
    exact_only = duplicate_index(tables, ("captions", "enriched_captions"), FRUIT, None)
    assert exact_only.reason(Said(texts[0] + " Really!")) is None


def test_the_threshold_is_part_of_the_settings() -> None:
    fingerprints = {
        settings_of(CAPTIONER, PROMPTS, CaptionSettings(near_duplicate_similarity=value))
        for value in (None, 0.7, 0.8)
    }
    assert len(fingerprints) == 3
