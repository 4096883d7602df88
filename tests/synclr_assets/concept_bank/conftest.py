"""Banks written to a temporary folder, as users write them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from synclr_assets.concept_bank.bank import ConceptBank, read_bank

BankOf = Callable[..., ConceptBank]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder named `concepts`."""
    path = tmp_path / "concepts"
    path.mkdir()
    return path


@pytest.fixture
def bank_of(folder: Path) -> BankOf:
    """Write files (name -> text or bytes) into the folder and read it as a bank."""

    def write_and_read(files: Mapping[str, str | bytes]) -> ConceptBank:
        for name, content in files.items():
            encoded = content.encode() if isinstance(content, str) else content
            (folder / name).write_bytes(encoded)
        return read_bank(folder)

    return write_and_read


@pytest.fixture
def fault_of(bank_of: BankOf, folder: Path) -> Callable[..., str]:
    """The one problem of one bad file beside a good one, as its sentence without the temporary folder."""

    def only_fault(content: str | bytes, name: str = "birds.yaml") -> str:
        bank = bank_of({"good.yaml": "captions: 3\nconcepts: [dog]\n", name: content})
        assert list(bank.buckets) == ["good"], "one bad file costs only itself"
        assert bank.slices["all"] == ("good",)
        (problem,) = bank.problems
        assert problem.sentence.isprintable()
        assert problem.sentence.endswith(f"; {problem.mend}.")
        return problem.sentence.replace(f"{folder.parent}/", "")

    return only_fault
