"""Steps that run on a GPU of this machine lease one before their model is made; the pool has a slot per GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from synclr_assets.launch.instance import fill_gpu_pool

PROGRAM = """
import json, os
from synclr_assets.defs import resources
from synclr_assets.profiles import Profile, gpu

seen = []
note = lambda settings: seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
resources.make_captioner = resources.make_image_sampler = note

def step(profile, engine):
    os.environ["SYNCLR_ENGINE"] = engine
    resources.CaptionerResource(settings=profile.captioner.model_dump_json()).make()
    resources.ImageSamplerResource(
        settings=profile.image_sampler.model_dump_json(), price_settings="{}"
    ).make()

step(Profile(), "local")
step(gpu(), "k8s")
step(gpu(), "local")
print(json.dumps(seen))
"""


@pytest.fixture
def two_gpus(tmp_path: Path) -> dict[str, str]:
    """An environment whose nvidia-smi lists two GPUs."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\nprintf "GPU 0: A (UUID: GPU-0a)\\nGPU 1: A (UUID: GPU-1a)\\n"\n')
    tool.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    return clean | {
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
        "SYNCLR_GPU_LOCKS": str(tmp_path / "locks"),
    }


def test_a_step_leases_its_gpu_before_its_model_is_made(two_gpus: dict[str, str]) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=two_gpus, capture_output=True, text=True, check=True
    )
    cpu_work, on_kubernetes, on_this_machine = [None] * 2, [None] * 2, ["GPU-0a"] * 2
    assert json.loads(answer.stdout) == cpu_work + on_kubernetes + on_this_machine


def test_the_gpu_pool_has_a_slot_per_gpu_unless_a_person_chose(two_gpus: dict[str, str]) -> None:
    def limits(instance: dg.DagsterInstance) -> dict[str, int]:
        return {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}

    with dg.instance_for_test() as instance:
        fill_gpu_pool(instance, two_gpus | {"SYNCLR_ENGINE": "k8s"})
        assert limits(instance) == {}
        fill_gpu_pool(instance, two_gpus)
        assert limits(instance) == {"gpu": 2}
        instance.event_log_storage.set_concurrency_slots("gpu", 5)
        fill_gpu_pool(instance, two_gpus)
        assert limits(instance) == {"gpu": 5}
