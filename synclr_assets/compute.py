"""What each step asks of the machine it runs on: cores, memory, GPUs, nodes, and whether it may be a spot machine.

Plain settings (section `compute` of a profile). How an engine is told is in `defs/placement.py`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from synclr_assets.synthesis.captioners import CaptionerSettings
from synclr_assets.synthesis.image_samplers import ImageSamplerSettings
from synclr_assets.synthesis.image_text_agreement import AgreementSettings

STEPS = (
    "concepts",
    "captions",
    "enriched_captions",
    "images",
    "syncaps_shards",
    "checkpoint",
    "linear_probe",
    "segmentation",
)
GPU_POOL = "gpu"
"""Name of the Dagster pool of every step that asks for a GPU."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepCompute(_Section):
    """What one step asks for."""

    cpus: float = Field(default=1, gt=0)
    """Cores."""
    memory_gib: float = Field(default=4, gt=0)
    """Memory in GiB."""
    gpus: float | None = Field(default=None, ge=0)
    """GPUs; a fraction shares one, which only Ray can. None: what the profile's generator or trainer runs on."""
    spot: bool = False
    """Whether it may run on a machine that is taken away at times; what was committed is not made again."""
    max_retries: int = Field(default=3, ge=0)
    """Attempts after the first on a cluster, where machines are lost; a spot step is given ten more."""
    node_selector: dict[str, str] = {}
    """Kubernetes: labels that its node must carry."""
    capacity_provider: str | None = None
    """ECS: the capacity provider of its task; None: the launcher's."""

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes."""
        return round(self.memory_gib * 2**30)


class Volume(_Section):
    """Kubernetes: a claim that every step's container sees."""

    name: str
    claim: str
    """Name of the PersistentVolumeClaim."""
    mount_path: str


class ComputeSection(_Section):
    """What every step asks for, and what the cluster offers to all."""

    steps: dict[str, StepCompute] = {}
    """By asset; one that is left out asks for the default of each field."""
    volumes: tuple[Volume, ...] = ()
    """Kubernetes: mounted into every step, such as a cache of model weights."""
    tolerations: tuple[dict[str, Any], ...] = (
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    )
    """Kubernetes: of steps with a GPU."""
    spot_tolerations: tuple[dict[str, Any], ...] = (
        {"key": "cloud.google.com/gke-spot", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "kubernetes.azure.com/scalesetpriority", "operator": "Exists", "effect": "NoSchedule"},
    )
    """Kubernetes: of spot steps."""
    shared_memory_gib: float = Field(default=8, gt=0)
    """Kubernetes: size of /dev/shm of steps with a GPU, through which loading processes pass batches."""

    @field_validator("steps")
    @classmethod
    def _are_steps(cls, steps: Mapping[str, StepCompute]) -> Mapping[str, StepCompute]:
        unknown = sorted(set(steps) - set(STEPS))
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is no asset: use {', '.join(STEPS)}")
        return steps

    def of(self, step: str) -> StepCompute:
        """What the step asks for."""
        return self.steps.get(step, StepCompute())


def captioner_gpus(settings: CaptionerSettings) -> int:
    """GPUs that the captioner runs on where there are any."""
    return int(settings.kind == "transformers" and settings.transformers.device != "cpu")


def image_gpus(sampler: ImageSamplerSettings, agreement: AgreementSettings | None) -> int:
    """GPUs that drawing and checking images run on where there are any: both share one."""
    draws = sampler.kind == "diffusers" and (sampler.diffusers is None or sampler.diffusers.device != "cpu")
    return int(draws or (agreement is not None and agreement.device != "cpu"))
