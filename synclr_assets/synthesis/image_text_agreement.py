"""Whether an image shows what its caption says, judged by a CLIP-type model. Refuses nothing itself: it scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from synclr_assets.synthesis.model_source import ModelError, ModelSource, resolve_model
from synclr_assets.synthesis.protocols import UInt8Image, settings_fingerprint

WHAT = "agreement model"


class AgreementSettings(BaseModel):
    """A CLIP-type model and the agreement it must see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """Folder or hub id of a CLIP model with its tokenizer and image processor."""
    revision: str | None = None
    """Commit of the hub repository, 40 hex characters; needed for a hub id."""
    threshold: float = Field(default=0.15, ge=-1.0, le=1.0, allow_inf_nan=False)
    """Lowest cosine similarity of image and caption that a view keeps its place with. CLIP models score matching
    photographs and captions at 0.2 to 0.35 and unrelated ones at about 0.1."""
    device: str | None = None
    """Device as torch names it; None for the first GPU, or the CPU where there is none. Changes no setting."""


class ImageTextAgreement(Protocol):
    """Scores views against the caption they were drawn for."""

    @property
    def threshold(self) -> float:
        """Lowest score that passes."""

    @property
    def fingerprint(self) -> str:
        """Hash of model, revision and threshold."""

    def scores(self, images: Sequence[UInt8Image], text: str) -> list[float]:
        """Cosine similarity of each uint8 [height, width, 3] image with the caption, -1 to 1."""


class ClipAgreement:
    """A transformers CLIPModel, loaded by the first `scores`. One call is one batch, so scores never depend on
    other captions."""

    def __init__(self, source: ModelSource, settings: AgreementSettings) -> None:
        self._source = source
        self._device = settings.device
        self._loaded: tuple[Any, Any] | None = None
        self.threshold = settings.threshold
        self.fingerprint = settings_fingerprint(source.name, source.revision, threshold=settings.threshold)

    def scores(self, images: Sequence[UInt8Image], text: str) -> list[float]:
        """Cosine similarity of each uint8 [height, width, 3] image with the caption, -1 to 1.

        Raises ModelError where the model cannot be loaded.
        """
        import torch

        if self._loaded is None:
            self._loaded = self._load()
        model, processor = self._loaded
        inputs = processor(
            text=[text], images=list(images), return_tensors="pt", padding=True, truncation=True
        ).to(model.device)
        with torch.no_grad():
            seen = model(**inputs)
        shown = torch.nn.functional.normalize(seen.image_embeds.float(), dim=-1)
        said = torch.nn.functional.normalize(seen.text_embeds.float(), dim=-1)
        return (shown @ said[0]).tolist()

    def _load(self) -> tuple[Any, Any]:
        import torch
        from transformers import CLIPModel, CLIPProcessor

        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            model: Any = CLIPModel.from_pretrained(
                self._source.location, revision=self._source.commit or "main", use_safetensors=True
            )
            processor = CLIPProcessor.from_pretrained(
                self._source.location, revision=self._source.commit or "main"
            )
        except (OSError, ValueError) as error:
            reason = str(error).strip().split("\n")[0].rstrip(".:")
            raise ModelError(
                f"{WHAT} {self._source.name} cannot be loaded ({reason}); name a CLIP model whose weights are "
                "safetensors files."
            ) from error
        return model.to(device).eval(), processor


def make_agreement(settings: AgreementSettings | None) -> ClipAgreement | None:
    """The scorer these settings name, its weights not yet loaded; None for None. Raises ModelError."""
    if settings is None:
        return None
    source = resolve_model(WHAT, settings.model, settings.revision, licence="not passed on")
    return ClipAgreement(source, settings)
