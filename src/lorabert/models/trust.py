"""What a base's folder may hold and claim, whoever made it: found out before Transformers reads it.

A base is numbers and text. No file of it is code, none lies outside of its folder, and what its config.json claims is held
against the tensors that are there, as a claimed size is what memory is taken for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorabert import received
from lorabert.errors import InputError

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
_TEMPLATES = "additional_chat_templates"  # Transformers reads it whenever it is there
_READ = {".json", ".safetensors", ".txt", ".model"}
_FIX = "Get the base from its source again, or name another"
_ATTENTIONS = {"eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"}
_NO_SIZE = re.compile(r"(_id|_ids|_token|theta|seed|base|version)$|^(id2label|label2id|task_specific_params)$")
_REPEATED = re.compile(r"(^|_)(layers?|groups|group_num)$")
_NEEDED = re.compile(r"(num_hidden|n|num)_layers?|(num_attention|num_key_value|n)_heads|num_hidden_groups|inner_group_num")
_LARGEST, _FEW_LAYERS = 1 << 17, 64  # positions need no tensors everywhere, and ALBERT's layers are one
_MOST_NEW = 1 << 26  # numbers: a head, a pooler, positions; of an encoder little may be missing
_TOKENIZER_SETTINGS = ("tokenizer_config.json", "tokenizer.json")
_NESTED = re.compile(r"\([^()]*[^\\(][+*][^()]*\)[+*{]|[+*}]\)+[+*{]")  # (a+)+ may try every way to part a text
_LONGEST_PATTERN, _MOST_GROWTH = 2000, 64
_TOKENIZER_CLASS = re.compile(r"\w*(Tokenizer|TokenizerFast|Backend)")


def check_files(folder: Path) -> None:
    """Check that a folder's files are plain files of its own; folders in it are read by nobody.

    Raises:
        InputError: a link that leads out of it, a pipe, a device.
    """
    if (folder / _TEMPLATES).exists():
        raise InputError(f"{folder} holds {_TEMPLATES}", got="templates of a chat", expected="an encoder's tokenizer", fix=_FIX)
    for path in sorted(folder.iterdir()):
        if not _is_folder(path) and (odd := received.oddity(path, folder)) is not None:
            raise InputError(f"{path.name} in {folder} {odd}", expected="files that lie in the folder themselves", fix=_FIX)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and path.suffix not in _READ


def config_of(folder: Path) -> dict[str, Any]:
    """A base's config.json, after everything in it that would make Transformers look elsewhere has been refused.

    Raises:
        InputError: it cannot be read, or names files, kernels or a quantisation; or the folder holds an adapter.
    """
    if (folder / "adapter_config.json").exists():
        raise InputError(f"{folder} is not a base", got="an adapter, which names a base of its own",
                         fix="`lorabert predict` uses an adapter; to train, name its base")  # fmt: skip
    config = received.json_of(folder / CONFIG, folder)
    for key, wrong in _FORBIDDEN.items():
        if (value := config.get(key)) is not None and wrong(value):
            raise InputError(
                f"The {CONFIG} in {folder} cannot be used",
                got=f"{key}: {str(value)[:80]!a}",
                expected=f"a plain {key}, or none: a base is read from its own folder, and runs no code of its own",
                fix=_FIX,
            )
    _check_index(folder)
    return config


def _no_attention(value: Any) -> bool:
    names = value.values() if isinstance(value, dict) else [value]
    return not all(name is None or (isinstance(name, str) and name in _ATTENTIONS) for name in names)


def _no_tokenizer(value: Any) -> bool:
    return not (isinstance(value, str) and _TOKENIZER_CLASS.fullmatch(value))


def _anything(_: Any) -> bool:
    return True


_FORBIDDEN = {
    "model_type": lambda value: not isinstance(value, str),
    "attn_implementation": _no_attention,  # a name with a slash is a kernel on the hub, which is code
    "_attn_implementation": _no_attention,
    "_attn_implementation_internal": _no_attention,
    "experts_implementation": _anything,
    "_experts_implementation": _anything,
    "quantization_config": _anything,
    "transformers_weights": _anything,  # a file's name, joined to the folder's
    "fusion_config": _anything,
    "tokenizer_class": _no_tokenizer,
}


def _check_index(folder: Path) -> None:
    """Check that an index names weights of its folder only: Transformers joins what it names to the path."""
    if not (folder / INDEX).exists():
        return
    places = received.json_of(folder / INDEX, folder, received.VOCABULARY_BYTES).get("weight_map")
    named: list[Any] = list(places.values()) if isinstance(places, dict) else [None]
    strange = [name for name in named if not (received.is_plain(name) and name.endswith(".safetensors"))]
    if strange:
        raise InputError(f"The {INDEX} in {folder} names a file that is none of the base's", got=f"{str(strange[0])[:80]!a}",
                         expected="names of *.safetensors files beside it", fix=_FIX)  # fmt: skip
    if missing := sorted({name for name in named if not (folder / name).is_file()}):
        raise InputError(f"The {INDEX} in {folder} names a file that is missing", got=missing[0], fix=_FIX)


def check_claims(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Hold the sizes that a configuration claims against the tensors that are there.

    Raises:
        InputError: a size beyond them, or more layers than any encoder has.
    """
    largest = max(_LARGEST, *(size for shape in shapes.values() for size in shape), 0)
    for key, value in _numbers(config):
        least = 1 if _NEEDED.fullmatch(key) else -largest
        most = max(_FEW_LAYERS, len(shapes)) if _REPEATED.search(key) else largest
        if not least <= value <= most:
            raise InputError(f"The weights of {what} do not fit its {CONFIG}", got=f"{key}: {str(value)[:40]}",
                             expected=f"{max(least, 0)} to {most:,}", fix=_FIX)  # fmt: skip


def _numbers(config: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Every number in a configuration that can be a size, by the last name on its way."""
    found: list[tuple[str, float]] = []
    for key, value in config.items():
        if _NO_SIZE.search(key):
            continue
        if isinstance(value, dict):
            found += _numbers(value)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, (int, float)) and not isinstance(each, bool):
                found.append((key, each))
    return found


def check_size(settings: Any, shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Hold the model that a configuration describes, built without memory, against the tensors that are there.

    Args:
        settings: a Transformers configuration, its sizes checked by `check_claims`.
        shapes: of the base's tensors.
        what: the base, for the message.

    Raises:
        InputError: far more of it is missing than a head.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    with torch.device("meta"):
        try:
            model = AutoModelForSequenceClassification.from_config(settings, trust_remote_code=False)
        except Exception:  # whatever is wrong with it is said when it is loaded
            return
    there = Counter(shapes.values())
    new = 0
    for tensor in [*model.parameters(), *model.buffers()]:  # by shape, as names have changed over the years
        shape = tuple(tensor.shape)
        new += 0 if there[shape] > 0 else tensor.numel()
        there[shape] -= 1
    if new > max(_MOST_NEW, model.num_parameters() // 4):
        raise InputError(f"The weights of {what} do not fit its {CONFIG}", got=f"{new:,} numbers that it claims and lacks",
                         expected="a base that is whole but for its head", fix=_FIX)  # fmt: skip


def check_tokenizer(folder: Path) -> None:
    """Check that a tokenizer's settings name a tokenizer of Transformers, and that no text grows beyond measure in it.

    Raises:
        InputError: they do not, or a file is damaged.
    """
    for name in _TOKENIZER_SETTINGS:
        if not (folder / name).exists():
            continue
        settings = received.json_of(folder / name, folder, received.VOCABULARY_BYTES)
        kind = settings.get("tokenizer_class")
        if kind is not None and _no_tokenizer(kind):
            raise InputError(f"{name} in {folder} names no tokenizer", got=f"tokenizer_class: {str(kind)[:80]!a}",
                             expected="a tokenizer of Transformers", fix=_FIX)  # fmt: skip
        if (wrong := _endless(settings.get("normalizer")) or _endless(settings.get("pre_tokenizer"))) is not None:
            raise InputError(f"{name} in {folder} would take any time or memory", got=wrong[:200], fix=_FIX)


def _endless(step: Any) -> str | None:
    """What in a tokenizer's steps makes a text grow without measure, or a search in it take any time."""
    growth = 1.0
    for each in _steps(step):
        pattern = each.get("pattern")
        sought = pattern.get("Regex", pattern.get("String")) if isinstance(pattern, dict) else pattern
        if isinstance(pattern, dict) and isinstance(pattern.get("Regex"), str):
            if len(pattern["Regex"]) > _LONGEST_PATTERN or _NESTED.search(pattern["Regex"]):
                return f"the pattern {pattern['Regex'][:80]!a}"
            sought = ""
        if each.get("type") in ("Replace", "Prepend"):
            growth *= max(1, len(str(each.get("content", each.get("prepend", "")))) / max(1, len(str(sought or ""))))
    return f"texts that grow {growth:,.0f} times" if growth > _MOST_GROWTH else None


def _steps(step: Any) -> Iterator[dict[str, Any]]:
    """A step, or the steps of a sequence of them."""
    if not isinstance(step, dict):
        return
    yield step
    for name in ("normalizers", "pretokenizers"):
        for each in step[name] if isinstance(step.get(name), list) else []:
            yield from _steps(each)
