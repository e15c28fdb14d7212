"""What of a base no part of the classifier would use: weights without a place, settings that nobody reads.

What changes the base's states is refused; what else is not known is named, so that nothing is left out in silence.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from lorabert.errors import InputError

# The heads of pretraining, by the first part of their names; and buffers that older checkpoints hold.
_PRETRAINING = {
    "cls", "lm_head", "predictions", "sop_classifier", "vocab_transform", "vocab_layer_norm", "vocab_projector",
    "generator_predictions", "generator_lm_head", "discriminator_predictions", "lm_predictions", "mask_predictions", "decoder",
}  # fmt: skip
_BUFFERS = {"position_ids", "token_type_ids", "inv_freq"}
# What a configuration says of itself, of the task it was made for, or of generating text.
_ABOUT = {
    "_commit_hash", "_name_or_path", "_num_labels", "architectures", "dtype", "finetuning_task", "language", "license",
    "model_type", "name", "output_past", "prefix", "task_specific_params", "tokenizer_class", "torch_dtype",
    "transformers_version",
}  # fmt: skip


def tensors(base: str, model: Any, unexpected: Iterable[str]) -> list[str]:
    """The names of a checkpoint's tensors that no part of a model takes, but for heads of pretraining.

    Args:
        base: its name, for the message.
        model: the Transformers classifier.
        unexpected: the tensors that the load report says it has no place for.

    Raises:
        InputError: some are of the encoder itself, whose states they would change.
    """
    prefix = f"{model.base_model_prefix}."
    names = sorted(name for name in unexpected if name.rpartition(".")[2] not in _BUFFERS)
    inside = {name for name, _ in model.base_model.named_children()}
    encoder = [name for name in names if _first(name.removeprefix(prefix)) in inside - {"pooler"}]
    if encoder:
        raise InputError(
            f"A part of the base '{base}' would be thrown away",
            got=f"{len(encoder)} tensors that its {model.config.model_type} has no place for, {encoder[0]} among them",
            expected="weights that config.json has a place for: as many layers, and of the same kind",
            fix="Get the base again, whole, or name another",
        )
    return [name for name in names if _first(name.removeprefix(prefix)) not in _PRETRAINING | {"pooler"}]


def _first(name: str) -> str:
    return name.partition(".")[0]


def settings(base: str, raw: Mapping[str, Any], model: Any) -> list[str]:
    """The names of a config.json's settings that Transformers reads nowhere for this architecture.

    Args:
        base: its name, for the message.
        raw: what config.json holds.
        model: the Transformers classifier made by it.

    Raises:
        InputError: one of them would change the base's states.
    """
    unread = [key for key, value in raw.items() if value and key not in _ABOUT and not _is_read(key, model)]
    positions = raw.get("position_embedding_type")
    if "position_embedding_type" in unread and positions != "absolute":
        raise _changed(base, raw, "position_embedding_type", "absolute positions")
    return sorted(set(unread) - {"position_embedding_type"})


def refuse_decoders(base: str, raw: Mapping[str, Any]) -> None:
    """Refuse a base whose config.json makes a decoder of it, before a model is built.

    Raises:
        InputError: it does.
    """
    for key in ("is_decoder", "add_cross_attention"):
        if raw.get(key) and not raw.get("is_encoder_decoder"):
            raise _changed(base, raw, key, "an encoder, which reads a text in both directions")


def _changed(base: str, raw: Mapping[str, Any], key: str, expected: str) -> InputError:
    import transformers

    return InputError(
        f"Transformers {transformers.__version__} cannot compute the base '{base}' as a {raw.get('model_type')} classifier",
        got=f"{key}: {str(raw[key])[:40]} in its config.json",
        expected=expected,
        fix="Name another base",
    )


def _is_read(key: str, model: Any) -> bool:
    """Whether a setting is one of the architecture's, one of generating text, or at least named in the architecture's code."""
    from transformers import GenerationConfig

    if hasattr(type(model.config)(), key) or hasattr(GenerationConfig(), key):
        return True
    word = re.compile(rf"\b{re.escape(key)}\b")
    return any(word.search(_code(type(part).__module__)) for part in (model, model.config))


def _code(module: str) -> str:
    try:
        return inspect.getsource(sys.modules[module])
    except (OSError, TypeError):  # installed without its source
        return ""
