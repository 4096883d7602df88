"""The sensor that watches the concept folder: a new or changed file is loaded, and its bucket alone is made."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import dagster as dg

from synclr_assets.concept_bank.bank import SUFFIXES, ConceptBank
from synclr_assets.defs.jobs import DATASET_JOB
from synclr_assets.defs.resources import ConceptBankResource, StoreResource
from synclr_assets.environment import DAGSTER_URL
from synclr_assets.operations.staleness import bucket_states
from synclr_assets.synthesis.identity import digest_hex

LOCATION = "synclr"
MAX_REQUESTS_PER_TICK = 100
TIMEOUT_SECONDS = 60.0
RELOAD = """
mutation Reload($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) {
    __typename
    ... on WorkspaceLocationEntry { loadStatus }
    ... on PythonError { message }
  }
}
"""


def folder_signature(folder: Path) -> str:
    """Changes when a file of the folder comes, goes or is written. Reads no file."""
    if not folder.is_dir():
        return digest_hex("no folder")
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if entry.name.lower().endswith(SUFFIXES)]
    return digest_hex("folder", *sorted(f"{entry.name}:{_written(entry)}" for entry in files))


def _written(entry: os.DirEntry[str]) -> str:
    """Size and time of a file; a file that just went and a link to nothing have neither."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return "gone"
    return f"{status.st_size}:{status.st_mtime_ns}"


def concept_files_sensor(bank: ConceptBank) -> dg.SensorDefinition:
    """Stopped until somebody turns it on; then it also makes buckets that were never made."""
    loaded = folder_signature(bank.folder)

    @dg.sensor(
        name="concept_files",
        job_name=DATASET_JOB,
        minimum_interval_seconds=30,
        description=(
            "Reloads the code location when a bucket file came, went or changed, and makes each bucket whose "
            "file has no generation yet, once per content of the file."
        ),
    )
    def concept_files(
        store: StoreResource, concept_bank: ConceptBankResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        if folder_signature(Path(concept_bank.folder)) != loaded:
            return dg.SkipReason(reload_location())
        now = concept_bank.read()
        states = bucket_states(store.open(), now)
        wanted = [
            name
            for name, state in states.items()
            if state.newest is None or state.newest.file_fingerprint != now.buckets[name].fingerprint
        ]
        if not wanted:
            return dg.SkipReason(f"all {len(states)} buckets have a generation of their file")
        return [
            dg.RunRequest(run_key=f"{name}:{now.buckets[name].fingerprint}", partition_key=name)
            for name in wanted[:MAX_REQUESTS_PER_TICK]
        ]

    return concept_files


def reload_location() -> str:
    """Ask the UI's server to load the code location anew; what came of it in one sentence."""
    url = os.environ.get(DAGSTER_URL)
    if not url:
        return (
            f"files changed; set {DAGSTER_URL} to the address of the Dagster UI so that they are loaded, or "
            "press Reload on its Deployment page"
        )
    body = json.dumps({"query": RELOAD, "variables": {"location": LOCATION}}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            result = json.load(answer)["data"]["reloadRepositoryLocation"]
    except (urllib.error.URLError, TimeoutError) as error:
        return f"files changed, but {url} ({DAGSTER_URL}) did not reload them: {error}"
    if result["__typename"] != "WorkspaceLocationEntry":
        return (
            f"files changed, but {LOCATION} was not reloaded: {result.get('message', result['__typename'])}"
        )
    return "files changed: the code location was reloaded"
