"""The long run: `python -m tests.faults [--kills 200]` puts every stage under every fault and prints the table."""

import argparse
import logging
import os
import tempfile
import uuid
from pathlib import Path

from moto.server import ThreadedMotoServer
from rich.console import Console
from rich.table import Table

from tests.faults.child import ALL_STAGES, preload_torch
from tests.faults.harness import Harness, Outcome, may_mount


def main() -> int:
    """Print one row per fault; exit code 1 where anything was lost or doubled."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs over all stages together")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    console = Console()
    preload_torch()
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder))
        outcomes = []
        share = chosen.kills // (len(ALL_STAGES) + 1)
        for number, stage in enumerate(ALL_STAGES):
            outcomes.append(harness.kills_of_a_stage(stage, share, chosen.seed + number))
            console.print(outcomes[-1])
        left = chosen.kills - share * len(ALL_STAGES)
        outcomes += [harness.kills(left, chosen.seed), harness.twins(4), harness.eight_at_once(2)]
        outcomes += [harness.jumping_clocks(3), _object_store(harness, chosen.seed)]
        if may_mount():
            outcomes.append(harness.full_disks())
        if os.geteuid() == 0:
            outcomes.append(harness.unwritable_folders())
    console.print(_table(outcomes))
    console.print(f"files left by killed runs, all listed by `synclr doctor`: {harness.leftovers}")
    return 1 if any(one.lost + one.doubled for one in outcomes) else 0


def _object_store(harness: Harness, seed: int) -> Outcome:
    import boto3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # one line a request otherwise
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
    keys["AWS_ENDPOINT_URL"] = endpoint
    os.environ.update(keys)  # for this process; the children have the server's that they fork from
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

    def new_root() -> str:
        name = f"b{uuid.uuid4().hex[:12]}"
        client.create_bucket(Bucket=name)
        return f"s3://{name}/store"

    try:
        return harness.faulty_object_store(keys, new_root, share=0.05, seed=seed)
    finally:
        server.stop()


def _table(outcomes: list[Outcome]) -> Table:
    table = Table("fault", "injected", "survived", "lost", "doubled")
    for one in outcomes:
        table.add_row(one.fault, *map(str, (one.injected, one.survived, one.lost, one.doubled)))
    sums = [
        sum(column)
        for column in zip(*((o.injected, o.survived, o.lost, o.doubled) for o in outcomes), strict=True)
    ]
    table.add_row("in all", *map(str, sums))
    return table


if __name__ == "__main__":
    raise SystemExit(main())
