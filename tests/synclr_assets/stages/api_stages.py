"""The corpus stages with generators behind an API, as the tests of this folder run them, and their killing."""

import multiprocessing
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.stages.captions import CaptionSettings, write_captions
from synclr_assets.stages.concepts import write_concepts
from synclr_assets.stages.enriched_captions import EnrichmentSettings, write_enriched_captions
from synclr_assets.store.blobs import Blobs
from synclr_assets.store.store import Store
from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.backgrounds import BackgroundSettings, make_background_writer
from synclr_assets.synthesis.openai_captions import make_openai_captioner
from synclr_assets.synthesis.openai_settings import OpenAIBackgroundSettings, OpenAICaptionerSettings
from synclr_assets.synthesis.prompts import load_prompt_set
from tests.synclr_assets.synthesis.faulty_server import KEY, MODEL

KEY_VARIABLE = "SYNCLR_TEST_API_KEY"
USD_PER_MILLION = {"prompt_tokens": 3.0, "completion_tokens": 15.0}
METHODS: dict[str, tuple[type, str]] = {
    "append": (Tables, "append"),
    "put_bytes": (Blobs, "put_bytes"),
    "delete": (Blobs, "delete"),
}


@dataclass(frozen=True)
class ApiStages:
    """Concepts, captions and enriched captions over one bank and store."""

    bank: ConceptBank
    store: Store
    base_url: str
    kind: str = "list"
    use_batch_api: bool = False
    least_requests_per_batch: int = 1
    max_concurrency: int = 16
    timeout_seconds: float = 30.0
    captions_per_commit: int = 12

    def server(self) -> dict[str, Any]:
        """Settings shared by all generators."""
        return {
            "base_url": self.base_url,
            "model": MODEL,
            "api_key_env": KEY_VARIABLE,
            "max_concurrency": self.max_concurrency,
            "timeout_seconds": self.timeout_seconds,
            "max_tries": 12,
            "max_backoff_seconds": 0.02,
            "usd_per_million_prompt_tokens": USD_PER_MILLION["prompt_tokens"],
            "usd_per_million_completion_tokens": USD_PER_MILLION["completion_tokens"],
            "use_batch_api": self.use_batch_api,
            "least_requests_per_batch": self.least_requests_per_batch,
            "batch_poll_seconds": 0.01,
        }

    def run(self, stage: str, unit: Unit) -> None:
        """One stage of one unit; needs the key in KEY_VARIABLE."""
        prompts = load_prompt_set()
        captioner = make_openai_captioner(OpenAICaptionerSettings(**self.server()), prompts)
        if stage == "concepts":
            write_concepts(self.store, self.bank.buckets[unit.bucket], unit.generation)
        elif stage == "captions":
            settings = CaptionSettings(captions_per_commit=self.captions_per_commit)
            write_captions(self.store, unit, captioner, prompts, settings)
        else:
            api = OpenAIBackgroundSettings(**self.server())
            writer = make_background_writer(BackgroundSettings(kind=self.kind, openai=api))
            enrichment = EnrichmentSettings(
                backgrounds_per_concept=10, captions_per_commit=self.captions_per_commit
            )
            write_enriched_captions(self.store, unit, captioner, writer, prompts, enrichment)

    def run_all(self, unit: Unit) -> None:
        """Concepts to enriched captions."""
        for stage in CORPUS_STAGES:
            self.run(stage, unit)


CORPUS_STAGES = ("concepts", "captions", "enriched_captions")


@dataclass(frozen=True)
class Kill:
    """SIGKILL right before or after the n-th call of a method of the store, in a run of one stage."""

    stage: str
    kind: str
    use_batch_api: bool
    method: str
    fatal_call: int
    moment: str

    def run(self, stages: ApiStages, unit: Unit, output: Path) -> int:
        """Run the stage in a child with one request at a time; its exit code. What it prints goes to `output`."""
        children = multiprocessing.get_context("forkserver")
        children.set_forkserver_preload(["openai", "synclr_assets.store.store", __name__])
        fatal = replace(stages, kind=self.kind, use_batch_api=self.use_batch_api, max_concurrency=1)
        child = children.Process(target=_run_to_death, args=(self, fatal, unit, output))
        child.start()
        child.join()
        assert child.exitcode is not None
        return child.exitcode


def _run_to_death(kill: Kill, stages: ApiStages, unit: Unit, output: Path) -> None:
    with output.open("wb") as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
    owner, name = METHODS[kill.method]
    original = getattr(owner, name)
    calls = 0

    def fatally(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == kill.fatal_call and kill.moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **options)
        if calls == kill.fatal_call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, fatally)
    os.environ[KEY_VARIABLE] = KEY
    stages.run(kill.stage, unit)
