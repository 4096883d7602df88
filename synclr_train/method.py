"""SynCLR as one Lightning module: student, EMA teacher, the total loss of one step.

Holds the method alone. Data order lives in `batches`, files and progress in `training`.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from lightning.pytorch import LightningModule
from timm.layers.attention import Attention
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from synclr_train.augment import Crops, colour_crops, step_generator, step_seed
from synclr_train.backbone import MaskedBackbone
from synclr_train.batches import StepBatch
from synclr_train.concept_labels import ConceptLabels
from synclr_train.config import Recipe
from synclr_train.heads import IbotHead, build_predictor, build_projector
from synclr_train.losses import (
    concept_cross_entropy,
    gather,
    masked_patch_cross_entropy,
    multi_positive_contrastive,
    sinkhorn_knopp,
)
from synclr_train.masking import draw_masks
from synclr_train.schedules import values_at
from synclr_train.sharding import own_part, shard, split_optimiser, whole

NETWORK_NOISE, MASKS = range(2)
"""Purposes of a step's random numbers."""


class NonFiniteTermError(ArithmeticError):
    """A loss term became NaN or infinite."""

    def __init__(self, term: str, step: int, value: float) -> None:
        super().__init__(f"the {term} term is {value} at step {step}")
        self.term, self.step = term, step


class SynCLR(LightningModule):
    """Student and teacher of one recipe; `training_step` is a function of weights, batch and step alone."""

    concept_of_row: Tensor | None

    def __init__(
        self,
        recipe: Recipe,
        *,
        uses_bfloat16: bool,
        explicit_attention: bool,
        concepts: ConceptLabels | None = None,
    ) -> None:
        """`uses_bfloat16` runs the networks under autocast; `explicit_attention` avoids the fused kernel;
        `concepts` are the classes of the supervised objective, which alone needs them."""
        super().__init__()
        assert (concepts is not None) == (recipe.objective == "supervised")
        self.recipe, self.uses_bfloat16 = recipe, uses_bfloat16
        self.num_concepts = len(concepts.names) if concepts else 0
        labels = torch.from_numpy(concepts.labels) if concepts else None
        self.register_buffer("concept_of_row", labels, persistent=False)
        self.student = self._build_networks(is_student=True)
        self.teacher = self._build_networks(is_student=False) if recipe.ema_teacher else None
        if self.teacher is not None:
            start = self.student.state_dict()
            self.teacher.load_state_dict({name: start[name] for name in self.teacher.state_dict()})
            self.teacher.requires_grad_(False)
        for module in self.modules():
            if explicit_attention and isinstance(module, Attention):
                module.fused_attn = False  # type: ignore[misc]  # Final for TorchScript alone
        if recipe.compiles:
            for networks in (self.student, self.teacher):
                if networks is not None and isinstance(networks["backbone"], MaskedBackbone):
                    networks["backbone"].compile_blocks()
        self.is_split = False
        self.optimiser_state: dict[str, Any] | None = None
        self.step = 0
        self.terms: dict[str, float] = {}
        self.gradient_norm = 0.0
        self.representations = torch.empty(0)

    def training_step(self, batch: StepBatch, batch_idx: int) -> Tensor:
        """The total loss of one step, unweighted: global + local + iBOT (SynCLR 3.3)."""
        recipe, step = self.recipe, batch.step
        self.step = step
        torch.manual_seed(step_seed(recipe.seed, step, self.global_rank, NETWORK_NOISE))
        crops = colour_crops(batch, recipe.augment)
        masks = None
        if recipe.ibot is not None:
            masks = draw_masks(
                len(crops.global_crops),
                recipe.backbone.num_patches,
                image_share=recipe.ibot.masked_image_share,
                patch_share=recipe.ibot.masked_patch_share,
                generator=step_generator(recipe.seed, step, self.global_rank, MASKS),
            ).to(self.device)
        terms = self.loss_terms(crops, masks, batch.caption_rows, step)
        self.terms = {name: float(term.detach()) for name, term in terms.items()}
        for name, value in self.terms.items():
            if not torch.isfinite(torch.tensor(value)):
                raise NonFiniteTermError(name, step, value)
        return torch.stack(list(terms.values())).sum()

    def loss_terms(
        self, crops: Crops, masks: Bool[Tensor, "g patches"] | None, rows: Int[Tensor, " captions"], step: int
    ) -> dict[str, Tensor]:
        """Each term of the loss of this process, by name: `global`, and `local` and `ibot` when in use; `concept`
        alone when supervised."""
        recipe, num_global = self.recipe, len(crops.global_crops)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.uses_bfloat16):
            pooled, hidden = self._encode(self.student["backbone"], crops.global_crops, masks)
            self.representations = pooled.detach()
            if crops.local_crops is not None:
                pooled = torch.cat([pooled, self._encode(self.student["backbone"], crops.local_crops)[0]])
            if recipe.objective == "supervised":
                return {"concept": self._concept_term(self.student["classifier"](pooled), rows)}
            anchors = self.student["projector"](pooled)
            if self.teacher is None:
                keys = anchors[:num_global]
            else:
                anchors = self.student["predictor"](anchors)
                with torch.no_grad():
                    teacher_pooled, teacher_hidden = self._encode(
                        self.teacher["backbone"], crops.global_crops, masks, hides=False
                    )
                    keys = self.teacher["projector"](teacher_pooled)
        terms = self._contrastive_terms(anchors.float(), keys.float(), num_global, rows)
        if recipe.ibot is not None and masks is not None:
            terms["ibot"] = self._ibot_term(hidden, teacher_hidden, masks, step)
        return terms

    def _encode(
        self,
        backbone: nn.Module,
        images: Tensor,
        masks: Bool[Tensor, "b patches"] | None = None,
        *,
        hides: bool = True,
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "hidden d"]]:
        """Representations, and the tokens of masked patches alone; `hides` shows the backbone the masks.

        With `crops_per_pass` the images pass in parts whose activations are not kept: the backward pass walks
        the parts again one by one, with the same random numbers (gradient caching, Gao et al. 2021).
        """

        def encode(part: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
            pooled, tokens = backbone(part, mask if hides else None)
            return pooled, tokens[mask] if mask is not None else tokens[:0, 0]

        size = self.recipe.crops_per_pass
        if size is None or size >= len(images):
            return encode(images, masks)
        parts = images.split(size)
        part_masks = masks.split(size) if masks is not None else [None] * len(parts)
        encoded = [
            checkpoint(encode, part, mask, use_reentrant=False)
            for part, mask in zip(parts, part_masks, strict=True)
        ]
        return torch.cat([pooled for pooled, _ in encoded]), torch.cat([hidden for _, hidden in encoded])

    def _concept_term(self, scores: Tensor, rows: Int[Tensor, " captions"]) -> Tensor:
        assert self.concept_of_row is not None
        labels = self.concept_of_row[rows].repeat_interleave(self.recipe.batch.views_per_caption)
        return concept_cross_entropy(scores, labels.repeat(self.recipe.crops.num_global))

    def _contrastive_terms(
        self, anchors: Tensor, keys: Tensor, num_global: int, rows: Int[Tensor, " captions"]
    ) -> dict[str, Tensor]:
        recipe, views = self.recipe, self.recipe.batch.views_per_caption
        num_images = len(rows) * views
        images = rows.repeat_interleave(views) * views + torch.arange(views, device=rows.device).repeat(
            len(rows)
        )
        labels = images // views if recipe.objective == "synclr" else images
        num_crops = len(anchors) // num_images
        images, labels = images.repeat(num_crops), labels.repeat(num_crops)
        crops = torch.arange(num_global, device=rows.device) + num_global * self.global_rank
        own = images if recipe.objective == "synclr" else crops
        all_keys = gather(keys, with_gradient=self.teacher is None)
        all_labels = gather(labels[:num_global])

        def contrast(chosen: slice, identity: Tensor | None) -> Tensor:
            excluded = None
            if identity is not None:
                excluded = identity.unsqueeze(1) == gather(own[:num_global]).unsqueeze(0)
            return multi_positive_contrastive(
                anchors[chosen],
                all_keys,
                labels[chosen],
                all_labels,
                excluded,
                temperature=recipe.contrastive.temperature,
            )

        terms = {"global": contrast(slice(num_global), own[:num_global])}
        if len(anchors) > num_global:
            exclude = recipe.contrastive.exclude_own_image_for_locals
            terms["local"] = contrast(slice(num_global, None), images[num_global:] if exclude else None)
        return terms

    def _ibot_term(self, tokens: Tensor, teacher_tokens: Tensor, masks: Tensor, step: int) -> Tensor:
        ibot, temperature = self.recipe.ibot, values_at(self.recipe, step).teacher_temperature
        assert ibot is not None
        assert temperature is not None
        assert self.teacher is not None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.uses_bfloat16):
            scores = self.student["ibot_head"](tokens)
            with torch.no_grad():
                teacher_scores = self.teacher["ibot_head"](teacher_tokens)
        targets = sinkhorn_knopp(
            teacher_scores, temperature=temperature, num_iterations=ibot.sinkhorn_iterations
        )
        return masked_patch_cross_entropy(
            scores, targets, masks, student_temperature=ibot.student_temperature
        )

    def configure_model(self) -> None:
        """Split the networks over the devices where the recipe says `fsdp`."""
        if self.recipe.strategy != "fsdp" or self.is_split or self.trainer.world_size == 1:
            return
        assert self.device_mesh is not None
        for networks in (self.student, self.teacher):
            if networks is not None:
                shard(networks, self.device_mesh["data_parallel"])
        self.is_split = True

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; vectors (biases, norms, the mask token) do not decay."""
        parameters = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in parameters if parameter.ndim > 1], "decays": True},
            {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "decays": False},
        ]
        optimiser = torch.optim.AdamW(groups, lr=0.0, betas=self.recipe.optimiser.betas, fused=True)
        if self.optimiser_state is not None:
            optimiser.load_state_dict(self.optimiser_state)
            split_optimiser(optimiser)
        return optimiser

    def on_train_batch_start(self, batch: StepBatch, batch_idx: int) -> None:
        """Give the optimiser this step's learning rate and weight decay."""
        values = values_at(self.recipe, batch.step)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = values.learning_rate
            group["weight_decay"] = values.weight_decay if group["decays"] else 0.0

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Measure the gradient's norm and clip it where the recipe says so."""
        parameters = list(self.student.parameters())
        norm = whole(nn.utils.get_total_norm([each.grad for each in parameters if each.grad is not None]))
        self.gradient_norm = float(norm)
        limit = self.recipe.optimiser.gradient_clip_norm
        if limit is not None:
            nn.utils.clip_grads_with_norm_(parameters, limit, norm)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """The optimiser's step, then the teacher's: callbacks see both done."""
        super().optimizer_step(*arguments, **options)
        if self.teacher is not None:
            self.update_teacher(values_at(self.recipe, self.step).ema_momentum)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Move the teacher towards the student (SynCLR 3.3, EMA)."""
        assert self.teacher is not None
        student = dict(self.student.named_parameters())
        pairs = [(own_part(old), own_part(student[name])) for name, old in self.teacher.named_parameters()]
        torch._foreach_lerp_([old for old, _ in pairs], [new for _, new in pairs], 1 - momentum)

    def exported_vit(self) -> VisionTransformer:
        """The plain ViT of the network that the recipe exports."""
        network = self.teacher if self.recipe.export_network == "teacher" else self.student
        assert network is not None
        backbone = network["backbone"]
        assert isinstance(backbone, MaskedBackbone)
        return backbone.vit

    def transfer_batch_to_device(
        self, batch: StepBatch, device: torch.device, dataloader_idx: int
    ) -> StepBatch:
        """Move the tensors of a batch."""
        return batch.to(device)

    def _build_networks(self, *, is_student: bool) -> nn.ModuleDict:
        recipe = self.recipe
        networks = nn.ModuleDict()
        networks["backbone"] = MaskedBackbone(
            recipe.backbone,
            drop_path_rate=recipe.backbone.drop_path_rate if is_student else 0.0,
            masked=is_student and recipe.ibot is not None,
            recomputes=is_student and recipe.recompute_activations,
        )
        if recipe.objective == "supervised":
            networks["classifier"] = nn.Linear(recipe.backbone.embed_dim, self.num_concepts)
            return networks
        networks["projector"] = build_projector(recipe.backbone.embed_dim, recipe.heads)
        if is_student and recipe.ema_teacher:
            networks["predictor"] = build_predictor(recipe.heads)
        if recipe.ibot is not None:
            networks["ibot_head"] = IbotHead(recipe.backbone.embed_dim, recipe.ibot)
        return networks
