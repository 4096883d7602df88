"""What a person does in the UI, by clicks: one partition, its pictures and checks, a backfill, what it made stale."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from synclr_assets.defs.jobs import DATASET_JOB
from tests.browser.conftest import Faults
from tests.platform import PATIENCE_S, RunningPlatform

GROUPS = {
    "corpus": ("concepts", "captions", "enriched_captions"),
    "dataset": ("images", "syncaps_shards"),
    "model": ("checkpoint", "linear_probe", "segmentation"),
}
CHECKS_OF_IMAGES = (
    "images_account_for_captions",
    "image_bytes_match_their_facts",
    "positive_groups_are_sound",
)
WIDE, USUAL = {"width": 2000, "height": 640}, {"width": 1440, "height": 900}
LEFT_CORNER = {"x": 12, "y": 8}
"""Where nothing floats over a group of the graph."""

expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.mark.timeout(8 * PATIENCE_S)
def test_a_bucket_is_made_looked_at_and_made_anew_by_clicks(
    platform: RunningPlatform, page: Page, faults: Faults, picture: Callable[[str], None]
) -> None:
    see_every_asset_in_the_graph(page)

    page.goto(f"/locations/synclr/jobs/{DATASET_JOB}")
    launch(page, "letters")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()

    see_the_whole_graph(page, picture)
    see_the_contact_sheet(page, picture)
    see_checks_passed(page, picture)
    open_partition(page, "captions", "letters")
    expect(page.get_by_text("Unsynced")).to_have_count(0)

    letters = platform.concepts / "letters.yaml"
    letters.write_text(letters.read_text().replace("captions: 24", "captions: 28"))
    page.goto("/assets/concepts")
    launch(page, "letters", "weave")
    expect(page.get_by_text("100% completed")).to_be_visible()
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(
        2
    )  # the status, and a column of that name
    picture("ui_backfill")
    for bucket, generation in (("letters", "1"), ("weave", "0")):
        open_partition(page, "concepts", bucket)
        expect(fact(page, "generation")).to_have_text(generation)

    open_partition(page, "captions", "letters")
    expect(fact(page, "generation")).to_have_text("0")
    page.get_by_text("Unsynced").hover()
    expect(page.get_by_text("new data version").first).to_be_visible()
    picture("ui_stale")
    assert not faults.seen


def see_every_asset_in_the_graph(page: Page) -> None:
    """Open the graph and unfold its groups one by one."""
    page.set_viewport_size(WIDE)
    page.goto("/")
    page.get_by_role("link", name="Lineage").click()
    for group, assets in GROUPS.items():
        page.locator("foreignObject").filter(has_text=group).first.click(position=LEFT_CORNER)
        for asset in assets:
            expect(page.locator("foreignObject").get_by_text(asset, exact=True).first).to_be_visible()
    page.set_viewport_size(USUAL)


def launch(page: Page, *buckets: str) -> None:
    """Choose the partitions in the dialog, launch, and open what was launched: a run or a backfill."""
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Select a partition").click()
    for bucket in buckets:
        page.get_by_role("menuitem").filter(has_text=bucket).click()
    page.keyboard.press("Escape")
    dialog.get_by_role("button", name="Launch").click()
    told = page.get_by_text(re.compile(r"^(Launched run|Created backfill) \w+$")).first.inner_text()
    page.get_by_role("link", name="Runs").first.click()
    page.get_by_role("link", name=told.split()[-1]).first.click()


def see_the_whole_graph(page: Page, picture: Callable[[str], None]) -> None:
    """All groups unfolded and fitted to a wide window."""
    page.set_viewport_size(WIDE)
    page.goto("/asset-groups?expanded=" + ",".join(f"global@global:{group}" for group in GROUPS))
    for asset in (name for assets in GROUPS.values() for name in assets):
        expect(page.locator("foreignObject").get_by_text(asset, exact=True).first).to_be_visible()
    picture("ui_graph")
    page.set_viewport_size(USUAL)


def open_partition(page: Page, asset: str, bucket: str) -> None:
    """The page of one partition, found from the asset's own page."""
    page.goto(f"/assets/{asset}")
    page.get_by_role("tab", name="Partitions").click()
    expect(page.get_by_placeholder("Filter by name")).to_be_visible()
    page.get_by_text(bucket, exact=True).first.click()
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()


def fact(page: Page, name: str) -> Locator:
    """The value beside a name in a partition's metadata."""
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))
    return row.get_by_role("cell").nth(1)


def see_the_contact_sheet(page: Page, picture: Callable[[str], None]) -> None:
    """The partition's metadata, and the picture behind its link."""
    open_partition(page, "images", "letters")
    expect(fact(page, "images")).to_have_text("96")
    picture("ui_partition")
    fact(page, "contact sheet").get_by_text("Show Markdown").click()
    sheet = page.get_by_role("dialog").locator("img")
    expect(sheet).to_be_visible()
    width_px, height_px = sheet.evaluate(
        "async image => (await image.decode(), [image.naturalWidth, image.naturalHeight])"
    )
    assert width_px > 4 * 64
    assert height_px > 8 * 64
    picture("ui_contact_sheet")


def see_checks_passed(page: Page, picture: Callable[[str], None]) -> None:
    """Every check of `images` by name, with its verdict."""
    page.goto("/assets/images")
    page.get_by_role("tab", name="Checks").click()
    expect(page.get_by_text("Succeeded", exact=True).nth(len(CHECKS_OF_IMAGES) - 1)).to_be_visible()
    for check in CHECKS_OF_IMAGES:
        page.get_by_text(check, exact=True).first.click()
        expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    picture("ui_checks")
