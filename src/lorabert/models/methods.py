"""Put lora, full, bitfit or head on a base through PEFT; count and name what is trainable."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from lorabert.config import LoraConfig, Method
from lorabert.errors import InputError
from lorabert.models.bases import LoadedBase, quiet_transformers
from lorabert.models.families import FAMILIES, RELATIVES, Family


@dataclass(frozen=True)
class Trainable:
    """What a method trains.

    Attributes:
        names: parameter names as the base calls them, in the model's order; LoRA's own end in lora_A or lora_B.
        parameters: how many numbers they hold.
        head_parameters: how many of those belong to the head and to whatever else is newly initialised.
        all_parameters: how many numbers the model holds, trained or frozen.
        target_modules: the linear layers that carry a LoRA.
    """

    names: list[str]
    parameters: int
    head_parameters: int
    all_parameters: int
    target_modules: list[str]

    def __str__(self) -> str:
        """The line that PEFT's print_trainable_parameters prints, with the head apart."""
        return (
            f"trainable params: {self.parameters:,} (of which head: {self.head_parameters:,}) || "
            f"all params: {self.all_parameters:,} || trainable%: {100 * self.parameters / self.all_parameters:.4f}"
        )


def apply(loaded: LoadedBase, method: Method, lora: LoraConfig) -> Any:
    """Wrap a base as a PEFT model in which exactly what the method trains requires a gradient.

    Every method becomes a PEFT model, so that all four are saved, loaded and resumed the same way: full saves every module,
    bitfit every bias, and all of them the head and whatever else is newly initialised. LoRA's A is drawn from the current
    random state, so seed it first.

    Raises:
        InputError: the architecture is not known to `auto`, target_modules or modules_to_save match nothing, or PEFT would
            lose something that is trained.
    """
    import warnings

    import peft

    model = loaded.model
    saved = _modules_to_save(loaded, method, lora)
    targets: Any = peft.utils.constants.DUMMY_TARGET_MODULES
    if method == "lora":
        _check_rank(lora.r, model.config.hidden_size)
        below = _below(model, lora)
        targets = [name for name in _targets(model, lora, saved) if not name.startswith(below)]
        _silence(model, below)
    settings = peft.LoraConfig(
        task_type=peft.TaskType.SEQ_CLS,
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=targets,
        bias="all" if method == "bitfit" else lora.bias if method == "lora" else "none",
        modules_to_save=saved,
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora and method == "lora",
        init_lora_weights=lora.init_lora_weights,
    )
    with quiet_transformers(), warnings.catch_warnings():
        # PEFT warns that the dummy target and a bias other than none are unusual; here they are meant.
        warnings.simplefilter("ignore", UserWarning)
        wrapped = peft.get_peft_model(model, settings)
    for name, parameter in wrapped.named_parameters():
        # PEFT takes every name that holds the word bias for one, MPNet's relative_attention_bias among them.
        if ".original_module." in name or (method == "bitfit" and ".modules_to_save." not in name and not name.endswith(".bias")):
            parameter.requires_grad_(False)
    _refuse_losses(wrapped, lora)
    return wrapped


def _check_rank(rank: int, width: int) -> None:
    """Refuse a rank above the base's width: no product of its layers has a higher one, so B A could be had for less.

    Raises:
        InputError: it is above it.
    """
    if rank > width:
        raise InputError(
            "lora.r is larger than the base is wide", got=f"{rank:,}", expected=f"at most {width:,}",
            fix="8 to 64 is usual; --train.method full trains every weight",
        )  # fmt: skip


def _refuse_losses(wrapped: Any, lora: LoraConfig) -> None:
    """Refuse to train what PEFT would not save: up to 0.18 it leaves out the biases of lora_only.

    Raises:
        InputError: a trainable tensor is not in what PEFT saves.
    """
    import peft

    saved = {_plain(name) for name in peft.get_peft_model_state_dict(wrapped, save_embedding_layers=False)}
    trained = [_plain(name) for name, parameter in wrapped.named_parameters() if parameter.requires_grad]
    # DoRA's magnitudes are saved without their last word.
    lost = [name for name in trained if name not in saved and name.removesuffix(".weight") not in saved]
    if lost:
        raise InputError(
            f"PEFT {peft.__version__} would not save all that is trained with lora.bias {lora.bias}",
            got=f"{len(lost)} tensors that would be lost, {lost[0]} among them",
            fix="Use --lora.bias none or all, or a newer peft",
        )


def _modules_to_save(loaded: LoadedBase, method: Method, lora: LoraConfig) -> list[str]:
    """The modules that are trained and saved whole: for full all of them, else the head and all that is new."""
    model = loaded.model
    there = {name for name, _ in model.named_modules()}
    wanted = _head_modules(loaded) + (_owners(model) if method == "full" else [])
    for name in lora.modules_to_save or []:
        found = [module for module in there if module == name or module.endswith(f".{name}")]
        if not found:
            kinds = {module.rsplit(".", 1)[-1] for module in there if module}
            near = difflib.get_close_matches(name, sorted(kinds), n=5, cutoff=0.3) or sorted(kinds)
            raise InputError("lora.modules_to_save names a module that the base lacks", got=f"'{name}'", expected=", ".join(near))
        wanted += found
    return [name for name in dict.fromkeys(wanted) if not any(name.startswith(f"{other}.") for other in wanted)]


def _owners(model: Any) -> list[str]:
    """The modules that hold weights of their own, by their full names.

    These and not the few at the top: PEFT's wrapper around a module that is called by keywords alone fails up to peft 0.18,
    and PEFT finds modules by the end of their names, where its own wrapper of a child called `model` is found too.
    """
    return [name for name, module in model.named_modules() if name and any(True for _ in module.parameters(recurse=False))]


def _head_modules(loaded: LoadedBase) -> list[str]:
    """The head's modules, and those that own any other newly initialised tensor."""
    head = [name for name in _family(loaded.model).head if hasattr(loaded.model, name)]
    return list(dict.fromkeys([*head, *(_owner(name) for name in loaded.new_tensors)]))


def _owner(tensor: str) -> str:
    """The module that owns a newly initialised tensor.

    Raises:
        InputError: the tensor hangs on the model itself, where PEFT cannot save it.
    """
    owner = tensor.rpartition(".")[0]
    if not owner:
        raise InputError(f"The base lacks the tensor '{tensor}', which no module owns and PEFT cannot save")
    return owner


def _family(model: Any) -> Family:
    kind = model.config.model_type
    if known := FAMILIES.get(kind, RELATIVES.get(kind)):
        return known
    return Family((), tuple(name for name in ("pre_classifier", "classifier", "score") if hasattr(model, name)))


def _targets(model: Any, lora: LoraConfig, saved: list[str]) -> list[str]:
    """Full names of the linear layers to adapt, outside the modules that are saved whole.

    Raises:
        InputError: nothing matches; the message lists what could be.
    """
    import torch

    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not any(f".{name}.".find(f".{part}.") >= 0 for part in saved)
    ]
    wanted = "auto" if lora.target_modules is None else lora.target_modules
    if not linear:
        raise InputError(f"This {model.config.model_type} has no linear layer that LoRA could adapt",
                         expected="an encoder such as BERT, or --train.method full, bitfit or head")  # fmt: skip
    if wanted == "all-linear":
        return linear
    ends = _family(model).query_value if wanted == "auto" else wanted.split(",") if isinstance(wanted, str) else wanted
    ends = [end.strip() for end in ends]
    unmatched = [end for end in ends if not any(f".{name}".endswith(f".{end}") for name in linear)]
    if unmatched or not ends:
        kinds = sorted({name.rsplit(".", 1)[-1] for name in linear})
        raise InputError(
            f"lora.target_modules {wanted} matches no linear layer of this {model.config.model_type}",
            got=", ".join(unmatched) or f"no known query and value for {model.config.model_type}",
            expected=f"all-linear, or some of {', '.join(kinds)}",
        )
    return [name for name in linear if any(f".{name}".endswith(f".{end}") for end in ends)]


def _below(model: Any, lora: LoraConfig) -> tuple[str, ...]:
    """How the names of the modules begin that lie below the layers to adapt; none where all layers are.

    Raises:
        InputError: the base's layers cannot be told apart.
    """
    import torch

    if lora.layers == "all":
        return ()
    count, kind = int(model.config.num_hidden_layers), model.config.model_type
    lists = [name for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList) and len(module) == count]
    parts = _family(model).parts
    if not lists or (parts is not None and parts.inner is not None):
        raise InputError(f"lora.layers {lora.layers}: this {kind} has no layers of which some could be adapted",
                         expected="an encoder with a list of layers of their own", fix="Leave --lora.layers out")  # fmt: skip
    first = count - int(lora.layers.removeprefix("top-"))
    if first < 0:
        raise InputError(f"lora.layers {lora.layers} is more than this {kind} has", got=f"{count} layers",
                         expected=f"top-1 to top-{count}", fix="Leave --lora.layers out to adapt all of them")  # fmt: skip
    place, base = lists[0], lists[0].split(".")[0]
    return (f"{base}.embeddings", *(f"{place}.{number}." for number in range(first))) if first else ()


def _silence(model: Any, below: tuple[str, ...]) -> None:
    """Switch off the dropout of the modules whose names begin so: what they give for a text is then always the same."""
    import torch

    for name, module in model.named_modules():
        if not name.startswith(below):
            continue
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "dropout_prob"):  # where Transformers 4 keeps the rate for its fused attention
            module.dropout_prob = 0.0


def trainable(wrapped: Any, loaded: LoadedBase) -> Trainable:
    """Count and name what requires a gradient in a model that `apply` made."""
    parameters = [(_plain(name), parameter) for name, parameter in wrapped.named_parameters() if ".original_module." not in name]
    trained = [(name, parameter.numel()) for name, parameter in parameters if parameter.requires_grad]
    head = tuple(f"{module}." for module in _head_modules(loaded))
    return Trainable(
        names=[name for name, _ in trained],
        parameters=sum(count for _, count in trained),
        head_parameters=sum(count for name, count in trained if name.startswith(head)),
        all_parameters=sum(parameter.numel() for _, parameter in parameters),
        target_modules=[_plain(name) for name, module in wrapped.named_modules() if hasattr(module, "lora_A")],
    )


def _plain(name: str) -> str:
    """A parameter's name as the base calls it, without PEFT's wrappers."""
    for part in ("base_model.model.", ".modules_to_save.default", ".base_layer", ".default"):
        name = name.replace(part, "")
    return name
