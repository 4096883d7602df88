"""What a child process can be asked to do, as plain data. Imports no torch and no Dagster."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Task(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FitTask(_Task):
    """Train one encoder."""

    kind: Literal["fit"] = "fit"
    recipe: dict[str, object]
    """The complete recipe."""
    shards: tuple[str, ...]
    """Local paths or s3:// URIs of the shards, in a fixed order."""
    out_dir: str
    """Where the trainer leaves its files; an earlier, killed run there is continued."""
    seed: int
    devices: int = 1
    """Processes on each machine, one per device; more than one are started by torchrun."""
    nodes: int = 1
    """Machines."""
    cache_dir: str | None = None
    """Folder that keeps the index and what was read over the network; None keeps nothing."""
    cache_bytes: int = 0
    """Largest size of the images kept there."""
    exclude_file: str | None = None
    """Local path of caption ids, one a line, that must not be read (recalls); None excludes none."""

    def excluded(self) -> list[str]:
        """The ids of `exclude_file`."""
        return Path(self.exclude_file).read_text(encoding="utf-8").split() if self.exclude_file else []


class ProbeTask(_Task):
    """Probe one exported encoder and its baselines on one or several data sets."""

    kind: Literal["linear_probe"] = "linear_probe"
    encoder_dir: str
    """Folder with encoder.safetensors and config.json."""
    out_dir: str
    """Where scores.json goes."""
    datasets: tuple[str, ...] = Field(min_length=1)
    """Names as `synclr-train probe` takes them."""
    split: Literal["validation", "test"]
    baselines: tuple[str, ...]
    cache_dir: str | None = None
    """Folder that keeps features from run to run; None keeps none."""

    @property
    def devices(self) -> int:
        """An evaluation uses one."""
        return 1


class EvalTask(_Task):
    """Evaluate the patch features of one exported encoder with its baselines."""

    kind: Literal["segmentation"] = "segmentation"
    encoder_dir: str
    """Folder with encoder.safetensors and config.json."""
    out_dir: str
    """Where scores.json and pictures go."""
    dataset: str
    head: str | None = None
    """Of a segmentation: `linear` or the name of a trained head."""
    split: Literal["validation", "test"]
    baselines: tuple[str, ...]
    """Subjects measured beside the model."""

    @property
    def devices(self) -> int:
        """An evaluation uses one."""
        return 1


Task = Annotated[FitTask | ProbeTask | EvalTask, Field(discriminator="kind")]
TASKS: TypeAdapter[FitTask | ProbeTask | EvalTask] = TypeAdapter(Task)
