"""Loading a text-to-image pipeline: safetensors only, no foreign code unless asked for. Samples nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.model_source import ModelError, ModelSource

if TYPE_CHECKING:
    import torch

WHAT = "image sampler model"
OWN_LOOP_PIPELINES = ("StableDiffusionPipeline",)
"""Pipeline classes whose parts the own loop knows."""


def load_pipeline(
    source: ModelSource, settings: DiffusersSettings, device: torch.device, dtype: torch.dtype
) -> Any:
    """The pipeline on its device, in eval mode, with the scheduler that the settings name.

    Raises ModelError where it cannot be loaded or does not fit the settings.
    """
    from diffusers import DiffusionPipeline

    options: dict[str, Any] = {"revision": source.commit} if source.commit else {}
    config = _read_config(source, options)
    _check_class(source, settings, config)
    if "safety_checker" in config and not settings.safety_checker:
        options |= {"safety_checker": None, "requires_safety_checker": False}
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            source.location,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=settings.remote_code,
            **options,
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            f"{WHAT} {source.name} cannot be loaded ({_first_line(error)}); name a pipeline whose weights are "
            "safetensors files."
        ) from error
    if settings.safety_checker and getattr(pipeline, "safety_checker", None) is None:
        raise ModelError(f"{WHAT} {source.name} has no safety checker; set safety_checker to false.")
    pipeline.set_progress_bar_config(disable=True)
    use_scheduler(pipeline, settings, source.name)
    prepare_networks(pipeline, settings)
    return pipeline.to(device)


def use_scheduler(pipeline: Any, settings: DiffusersSettings, name: str) -> None:
    """Give the pipeline the named scheduler, with the noise schedule its model was trained with.

    Raises ModelError for a pipeline that such a scheduler does not fit, e.g. a flow-matching one.
    """
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

    if settings.scheduler == "shipped":
        return
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "ddim": (DDIMScheduler, {"clip_sample": False}),
        "dpmsolver++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
        "unipc": (UniPCMultistepScheduler, {}),
    }
    kind, changes = kinds[settings.scheduler]
    shipped = pipeline.scheduler
    if not isinstance(shipped, kind) and kind not in shipped.compatibles:
        raise ModelError(
            f"{WHAT} {name} samples by {type(shipped).__name__}, which scheduler {settings.scheduler!r} cannot "
            "replace; set scheduler to shipped."
        )
    pipeline.scheduler = kind.from_config(shipped.config, **changes)


def prepare_networks(pipeline: Any, settings: DiffusersSettings) -> None:
    """Memory layout, slicing and compilation, as far as the settings ask for them."""
    import torch

    backbone = "unet" if getattr(pipeline, "unet", None) is not None else "transformer"
    if settings.channels_last:
        getattr(pipeline, backbone).to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)
    if settings.vae_slicing:
        pipeline.vae.enable_slicing()
    if settings.compile:
        getattr(pipeline, backbone).compile(dynamic=False)


def _read_config(source: ModelSource, options: dict[str, Any]) -> dict[str, Any]:
    from diffusers import DiffusionPipeline

    try:
        return dict(DiffusionPipeline.load_config(source.location, **options))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{WHAT} {source.name} is no pipeline ({_first_line(error)}); name a folder with a model_index.json, "
            "or a hub id that can be reached."
        ) from error


def _check_class(source: ModelSource, settings: DiffusersSettings, config: dict[str, Any]) -> None:
    name = config.get("_class_name")
    if settings.loop == "own" and name not in OWN_LOOP_PIPELINES:
        raise ModelError(
            f"{WHAT} {source.name} is a {name}, which loop 'own' does not know; set loop to pipeline to call it "
            "as it is."
        )
    if settings.loop == "own" and settings.scheduler == "shipped":
        raise ModelError(
            f"{WHAT} {source.name}: scheduler 'shipped' may draw noise of its own; name ddim, dpmsolver++ or "
            "unipc, or set loop to pipeline."
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".:")
