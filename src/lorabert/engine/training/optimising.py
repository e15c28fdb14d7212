"""One optimizer step as the Trainer takes it: AdamW with its parameter groups, clipping, and the learning-rate schedule."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor, nn

from lorabert import processes
from lorabert.config import TrainConfig
from lorabert.data.batching import BatchPlan

# As transformers.Trainer.get_decay_parameter_names: these names, and every parameter of a LayerNorm, do not decay.
_NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def steps_per_epoch(settings: TrainConfig, plan: BatchPlan) -> int:
    """Optimizer steps in an epoch; the last takes the batches that are left."""
    return math.ceil(plan.steps_per_epoch / settings.gradient_accumulation_steps)


class Optimising:
    """AdamW over what a model trains, its schedule and its clipping.

    With fp16 losses are scaled up before the backward, so that small gradients do not vanish, and gradients down before they
    are clipped. A step whose gradients are not finite is skipped and the scale halved, as in `torch.amp.GradScaler`; it counts
    as a step, but the schedule waits, as in the Trainer.

    Args:
        model: whose parameters are trained.
        settings: the Trainer's words.
        plan: the batches of every epoch.
        scaling: whether losses are scaled.

    Attributes:
        parameters: what is trained, by name, in the model's order.
        steps: steps made so far.
        skipped: those of them that were not taken.
        scaler: of the losses; it does nothing without scaling.
        keeps_gradients: whether gradients stay where they are when they are forgotten, as zeros, and are not given back.
    """

    def __init__(self, model: nn.Module, settings: TrainConfig, plan: BatchPlan, *, scaling: bool = False) -> None:
        from transformers import get_scheduler

        steps = steps_per_epoch(settings, plan) * len(plan.epochs)
        self.parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.max_norm, self.peak_rate = settings.max_grad_norm, settings.learning_rate or 0.0
        self.steps = self.skipped = 0
        self.keeps_gradients = False
        groups = _groups(model, self.parameters, settings.weight_decay, settings.loraplus_lr_ratio)
        self.adamw = torch.optim.AdamW(groups, lr=self.peak_rate, fused=True)
        schedule = get_scheduler(
            settings.lr_scheduler_type,
            optimizer=self.adamw,
            num_warmup_steps=settings.warmup_steps(steps),
            num_training_steps=steps,
        )
        device = next(iter(self.parameters.values())).device.type
        self.scaler = torch.amp.GradScaler(device, enabled=scaling)
        # The rate depends on the number of steps taken alone, so there is no state to keep besides that number.
        self.share_of_peak = schedule.lr_lambdas[0]

    @property
    def learning_rate(self) -> float:
        """The rate that the next step takes; with LoRA+ that of A."""
        return float(self.peak_rate * self.share_of_peak(self.steps - self.skipped))

    def add_up(self, loss: float) -> float:
        """Add up the gradients of all processes, and return the sum of their losses.

        All travel in one vector, with a word on which parameters have a gradient anywhere: AdamW leaves the others alone.
        """
        if processes.count() == 1:
            return loss
        held = list(self.parameters.values())
        words = torch.tensor([*(p.grad is not None for p in held), loss], dtype=torch.float32, device=held[0].device)
        gradients = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in held]
        flat = processes.add_up(torch.cat([*gradients, words]))
        *sums, words = flat.split([p.numel() for p in held] + [len(words)])
        *owners, total = words.tolist()
        for parameter, gradient, own in zip(held, sums, owners, strict=True):
            if own and parameter.grad is not None:
                parameter.grad.copy_(gradient.view_as(parameter))
            elif own:
                parameter.grad = gradient.view_as(parameter)
        return float(total)

    def step(self) -> None:
        """Clip, step, and forget the gradients."""
        self.scaler.unscale_(self.adamw)
        if self.max_norm > 0:
            nn.utils.clip_grad_norm_(self.parameters.values(), self.max_norm)
        for group in self.adamw.param_groups:
            group["lr"] = self.learning_rate * group["ratio"]
        scale = self.scaler.get_scale()
        self.scaler.step(self.adamw)
        self.scaler.update()
        self.adamw.zero_grad(set_to_none=not self.keeps_gradients)
        self.steps += 1
        self.skipped += self.scaler.get_scale() < scale

    def tensors(self) -> dict[str, Tensor]:
        """The weights and AdamW's moments, by name, and the loss scale, for a checkpoint."""
        state = self.scaler.state_dict()
        held = {"scale": torch.tensor([state["scale"], state["_growth_tracker"]])} if state else {}
        for name, parameter in self.parameters.items():
            held[f"weight/{name}"] = parameter.detach()
            moments: dict[str, Any] = self.adamw.state.get(parameter, {})
            held |= {f"{key}/{name}": value for key, value in moments.items()}
        return held

    def restore(self, held: dict[str, Tensor], steps: int, skipped: int) -> None:
        """Take over what `tensors` gave after so many steps.

        Raises:
            ValueError: it is not what `tensors` gives.
        """
        self.load_weights(held)
        keys = ("step", "exp_avg", "exp_avg_sq")
        for name, parameter in self.parameters.items():
            if f"step/{name}" in held:
                state = {key: _like(parameter if key != "step" else None, held, f"{key}/{name}") for key in keys}
                self.adamw.state[parameter] = {
                    key: value if key == "step" and parameter.device.type == "cpu" else value.to(parameter.device)
                    for key, value in state.items()
                }
        if "scale" in held:
            scale, growth = held["scale"].tolist()
            self.scaler.load_state_dict(self.scaler.state_dict() | {"scale": scale, "_growth_tracker": int(growth)})
        self.steps, self.skipped = steps, skipped

    def load_weights(self, held: dict[str, Tensor]) -> None:
        """Put the weights of a checkpoint into the model.

        Raises:
            ValueError: they are not its own.
        """
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(_like(parameter, held, f"weight/{name}"))


def _like(parameter: Tensor | None, held: dict[str, Tensor], name: str) -> Tensor:
    """A tensor of a checkpoint, of a parameter's shape and type; of AdamW's count of steps, one number."""
    wanted = (torch.float32, torch.Size([])) if parameter is None else (parameter.dtype, parameter.shape)
    found = held.get(name)
    if found is None or (found.dtype, found.shape) != wanted:
        got = "no such tensor" if found is None else f"{found.dtype}, shape {tuple(found.shape)}"
        raise ValueError(f"{name}: {got}")
    return found


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
