"""One optimizer step as the Trainer takes it: AdamW with its parameter groups, clipping, and the learning-rate schedule."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor, nn

from lorabert.config import TrainConfig
from lorabert.data.batching import BatchPlan

# As transformers.Trainer.get_decay_parameter_names: these names, and every parameter of a LayerNorm, do not decay.
_NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def steps_per_epoch(settings: TrainConfig, plan: BatchPlan) -> int:
    """Optimizer steps in an epoch; the last takes the batches that are left."""
    return math.ceil(plan.steps_per_epoch / settings.gradient_accumulation_steps)


class Optimising:
    """AdamW over what a model trains, its schedule and its clipping.

    Attributes:
        parameters: what is trained, by name, in the model's order.
        taken: optimizer steps taken so far.
    """

    def __init__(self, model: nn.Module, settings: TrainConfig, plan: BatchPlan) -> None:
        from transformers import get_scheduler

        steps = steps_per_epoch(settings, plan) * len(plan.epochs)
        self.parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.max_norm, self.peak_rate = settings.max_grad_norm, settings.learning_rate or 0.0
        self.taken = 0
        groups = _groups(model, self.parameters, settings.weight_decay, settings.loraplus_lr_ratio)
        self.adamw = torch.optim.AdamW(groups, lr=self.peak_rate, fused=True)
        schedule = get_scheduler(
            settings.lr_scheduler_type,
            optimizer=self.adamw,
            num_warmup_steps=math.ceil(settings.warmup * steps) if settings.warmup < 1 else int(settings.warmup),
            num_training_steps=steps,
        )
        # The rate depends on the number of steps alone, so there is no state to keep besides that number.
        self.share_of_peak = schedule.lr_lambdas[0]

    @property
    def learning_rate(self) -> float:
        """The rate that the next step takes; with LoRA+ that of A."""
        return float(self.peak_rate * self.share_of_peak(self.taken))

    def step(self) -> None:
        """Clip, step, and forget the gradients."""
        if self.max_norm > 0:
            nn.utils.clip_grad_norm_(self.parameters.values(), self.max_norm)
        for group in self.adamw.param_groups:
            group["lr"] = self.learning_rate * group["ratio"]
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        self.taken += 1

    def tensors(self) -> dict[str, Tensor]:
        """The weights and AdamW's moments, by name, for a checkpoint."""
        held: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            held[f"weight/{name}"] = parameter.detach()
            moments: dict[str, Any] = self.adamw.state.get(parameter, {})
            held |= {f"{key}/{name}": value for key, value in moments.items()}
        return held

    def restore(self, held: dict[str, Tensor], taken: int) -> None:
        """Take over what `tensors` gave after `taken` steps."""
        self.load_weights(held)
        keys = ("step", "exp_avg", "exp_avg_sq")
        for name, parameter in self.parameters.items():
            if f"step/{name}" in held:
                state = {key: held[f"{key}/{name}"] for key in keys}
                self.adamw.state[parameter] = {
                    key: value if key == "step" and parameter.device.type == "cpu" else value.to(parameter.device)
                    for key, value in state.items()
                }
        self.taken = taken

    def load_weights(self, held: dict[str, Tensor]) -> None:
        """Put the weights of a checkpoint into the model."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(held[f"weight/{name}"])


def _groups(model: nn.Module, parameters: dict[str, nn.Parameter], decay: float, ratio: float) -> list[dict[str, Any]]:
    """The parameters by weight decay and by rate: with LoRA+ every B, and every vector, takes `ratio` times the rate of A.

    That vectors follow B, so biases, norms and DoRA's magnitudes, is `peft.optimizers.create_loraplus_optimizer`'s rule.
    """
    norms = {id(parameter) for module in model.modules() if isinstance(module, nn.LayerNorm) for parameter in module.parameters()}

    def kind(name: str, parameter: nn.Parameter) -> tuple[float, float]:
        decays = id(parameter) not in norms and not _NO_DECAY.search(name.lower())
        return decay if decays else 0.0, ratio if "lora_B" in name or parameter.ndim == 1 else 1.0

    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        groups.setdefault(kind(name, parameter), []).append(parameter)
    return [{"params": held, "weight_decay": own, "ratio": times} for (own, times), held in groups.items()]
