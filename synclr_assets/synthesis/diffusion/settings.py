"""Settings of the `diffusers` image sampler. Loads nothing."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5"
"""Mirror of Stable Diffusion 1.5, the paper's model; the original repository was deleted."""
DEFAULT_REVISION = "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
"""Commit of the mirror; the deleted original carried the same one."""
DEFAULT_LICENCE = "CreativeML OpenRAIL-M"

Dtype = Literal["float32", "float16", "bfloat16"]


class DiffusersSettings(BaseModel):
    """A text-to-image pipeline, how it samples, and how it runs. The defaults are SynCLR 3.2's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = DEFAULT_MODEL
    """Folder of a saved pipeline, or its id on the hub."""
    revision: str | None = None
    """Commit of the hub repository, 40 hex characters; needed for every hub id but the default one."""
    licence: str | None = None
    """Licence of the model as its card states it; needed for every model but the default one."""
    num_steps: int = Field(default=50, ge=1, le=1000)
    """Denoising steps per image."""
    guidance: float = Field(default=2.5, ge=1.0, le=30.0, allow_inf_nan=False)
    """Scale of classifier-free guidance; 1 turns it off and halves the work (SynCLR table 3: 2 to 4 differ little)."""
    scheduler: Literal["ddim", "dpmsolver++", "unipc", "shipped"] = "ddim"
    """Sampler of the diffusion equation. `dpmsolver++` and `unipc` need 15 to 25 steps; `shipped` keeps the model's
    own, for loop `pipeline` alone."""
    loop: Literal["own", "pipeline"] = "own"
    """`own` batches views of any captions and embeds each caption once: Stable Diffusion 1.x and 2.x. `pipeline`
    calls any other text-to-image pipeline as its authors wrote it."""
    safety_checker: bool = False
    """Whether to run the model's own safety checker. A flagged view is refused (reason `unsafe`) and reseeded."""
    remote_code: bool = False
    """Whether to run Python code that comes with the model. Weights are read from safetensors files in any case."""
    dtype: Literal["auto"] | Dtype = "auto"
    """Arithmetic of the networks; `auto` is float16 on a GPU and float32 on a CPU. Noise and latents are float32."""
    device: str | None = None
    """Device as torch names it; None for the first GPU, or the CPU where there is none. Changes no setting."""
    images_per_batch: int | None = Field(default=None, ge=1, le=1024)
    """Views denoised together; None for 32 on a GPU and 8 on a CPU at 512 px, more of smaller ones, at most 32. Halved
    when memory runs out."""
    compile: bool = False
    """Whether to compile the denoising network: minutes at the start, faster afterwards."""
    channels_last: bool = False
    """Whether convolutions keep channels innermost: faster on most GPUs."""
    vae_slicing: bool = False
    """Whether images are decoded one by one: less memory, a little slower."""
