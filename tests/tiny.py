"""Tiny random encoders, tokenizers and review data sets on disk: everything a test needs instead of a model hub."""

from __future__ import annotations

import csv
import json
import random
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel

CLASS_NAMES = ("negative", "positive", "sport", "business", "science", "world")
CLASS_WORDS = {
    "negative": "awful bad boring broken dull flawed hate lame messy poor sad stupid terrible ugly waste worst",
    "positive": "amazing beautiful best brilliant charming clever delightful enjoy excellent fun good great happy love "
    "perfect wonderful",
    "sport": "ball champion club coach cup fans final football game goal league match player score season team",
    "business": "bank budget cash company deal debt economy firm market money price profit sales shares stock trade",
    "science": "atom biology brain cell climate data energy experiment gene lab planet research robot space study theory",
    "world": "army border capital crisis election embassy government law leader minister nation peace police president "
    "treaty war",
}
NEUTRAL_WORDS = (
    "a about after again all also an and any are as at back be because before but by can camera cast character "
    "city could day did director do dialogue end even every film first for from had has have he her here his how i if "
    "in into is it its just last like long made make man many minutes more most movie music my never new news no not "
    "now of off on one only or other our out over own part people plot quite really report role said same saw scene "
    "screen script see she show so some story such than that the their them then there they thing this time to today "
    "too two under up very was watch way we week well were what when which while who will with woman work world would "
    "year you young"
)
WORDS = tuple(dict.fromkeys(" ".join([NEUTRAL_WORDS, *CLASS_WORDS.values()]).split()))

HIDDEN = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


@dataclass(frozen=True)
class Special:
    """The special tokens of a family, in the order of their ids."""

    tokens: tuple[str, ...]
    cls: str
    sep: str
    pad: str
    unk: str
    mask: str
    double_sep: bool

    def ids(self) -> dict[str, int]:
        """The ids as a model's configuration names them."""
        at = self.tokens.index
        return {"pad_token_id": at(self.pad), "bos_token_id": at(self.cls), "eos_token_id": at(self.sep)}

    def names(self) -> dict[str, str]:
        """The tokens as a tokenizer names them."""
        named = {"cls_token": self.cls, "sep_token": self.sep, "pad_token": self.pad}
        return {**named, "unk_token": self.unk, "mask_token": self.mask}


BERT_SPECIAL = Special(
    ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", double_sep=False
)
ROBERTA_SPECIAL = Special(("<s>", "<pad>", "</s>", "<unk>", "<mask>"), "<s>", "</s>", "<pad>", "<unk>", "<mask>", double_sep=True)


@dataclass(frozen=True)
class Family:
    """What sets one model type apart: special tokens, token types, the longest input and configuration."""

    special: Special = BERT_SPECIAL
    token_types: bool = False
    max_length: int = 64
    config: Mapping[str, Any] = field(default_factory=dict)


OFFSET = {**HIDDEN, "max_position_embeddings": 130}  # these families' positions start at 2
ROBERTA = Family(ROBERTA_SPECIAL, max_length=128, config={**OFFSET, "type_vocab_size": 1})
FAMILIES = {
    "bert": Family(token_types=True, config=HIDDEN),
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "mpnet": Family(ROBERTA_SPECIAL, max_length=128, config=OFFSET),
    "distilbert": Family(config={"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64}),
    "electra": Family(token_types=True, config={**HIDDEN, "embedding_size": 16}),
    "albert": Family(token_types=True, config={**HIDDEN, "embedding_size": 16}),
    "deberta-v2": Family(
        token_types=True,
        config={
            **HIDDEN,
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    "modernbert": Family(
        config={
            **HIDDEN,
            "local_attention": 16,
            "global_attn_every_n_layers": 2,
            "cls_token_id": BERT_SPECIAL.tokens.index("[CLS]"),
            "sep_token_id": BERT_SPECIAL.tokens.index("[SEP]"),
        },
    ),
}


def build_base(
    folder: str | Path,
    *,
    family: str = "bert",
    seed: int = 0,
    head: bool = False,
    with_pooler: bool = True,
    vocab_words: Iterable[str] = WORDS,
) -> Path:
    """Write a tiny random model and its fast tokenizer.

    Args:
        folder: where to; made if it is not there.
        family: one of `FAMILIES`, the configuration's `model_type`.
        seed: of the random weights; torch's own generator is left as it was.
        head: keep a two-class classification head in the checkpoint, instead of the bare encoder.
        with_pooler: keep the pooler's tensors in the checkpoint, where the family has one.
        vocab_words: the whole words of the vocabulary, beside single characters.

    Returns:
        The folder.
    """
    folder = Path(folder)
    tokenizer = build_tokenizer(family, vocab_words)
    model = build_model(family, vocab_size=tokenizer.get_vocab_size(), seed=seed, head=head)
    kept = {name: tensor for name, tensor in model.state_dict().items() if with_pooler or "pooler" not in name}
    model.save_pretrained(folder, state_dict=kept)
    tokenizer.save(str(folder / "tokenizer.json"))
    described = json.dumps(tokenizer_config(family), indent=2)
    (folder / "tokenizer_config.json").write_text(described + "\n", encoding="utf-8")
    return folder


def build_model(family: str, *, vocab_size: int, seed: int = 0, head: bool = False, **settings: Any) -> PreTrainedModel:
    """A tiny random model of the family: the bare encoder, or with a two-class head; `settings` go into its configuration."""
    known = FAMILIES[family]
    config = AutoConfig.for_model(family, vocab_size=vocab_size, **{**known.special.ids(), **known.config, **settings})
    kind = AutoModelForSequenceClassification if head else AutoModel
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind.from_config(config)


def build_tokenizer(family: str, vocab_words: Iterable[str] = WORDS) -> Tokenizer:
    """A lower-casing WordPiece tokenizer of the family that knows every printable ASCII character."""
    special = FAMILIES[family].special
    vocab = {token: index for index, token in enumerate(_vocabulary(special, vocab_words))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=special.unk))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = _post_processor(special, vocab)
    tokenizer.add_special_tokens(list(special.tokens))
    return tokenizer


def tokenizer_config(family: str) -> dict[str, Any]:
    """What tokenizer_config.json says.

    It is not left to `save_pretrained`: transformers 5 names a tokenizer class there that transformers 4 lacks.
    """
    known = FAMILIES[family]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": known.max_length,
        "model_input_names": ["input_ids", *(["token_type_ids"] if known.token_types else []), "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **known.special.names(),
    }


def _vocabulary(special: Special, vocab_words: Iterable[str]) -> list[str]:
    letters = string.ascii_lowercase + string.digits
    single = [*letters, *string.punctuation, *(f"##{letter}" for letter in letters)]
    return list(dict.fromkeys([*special.tokens, *single, *vocab_words]))


def _post_processor(special: Special, vocab: Mapping[str, int]) -> processors.TemplateProcessing:
    cls, sep = special.cls, special.sep
    pair = f"{cls} $A {sep} {sep} $B {sep}" if special.double_sep else f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1"
    return processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=pair, special_tokens=[(cls, vocab[cls]), (sep, vocab[sep])]
    )


def reviews(n: int, classes: int = 2, seed: int = 0, *, longest: int = 24) -> tuple[list[str], list[int]]:
    """Separable little reviews: no text twice, every class as often as the others, lengths from 4 words to `longest`.

    Args:
        n: how many.
        classes: how many labels, at most `len(CLASS_NAMES)`; label i is about `CLASS_NAMES[i]`.
        seed: the same seed gives the same reviews.
        longest: the most words in a review.

    Returns:
        The texts and their labels, in a random order.
    """
    rng = random.Random(seed)
    labels = [index % classes for index in range(n)]
    rng.shuffle(labels)
    texts: dict[str, None] = {}
    for label in labels:
        text = _review(rng, label, longest)
        while text in texts:
            text = _review(rng, label, longest)
        texts[text] = None
    return list(texts), labels


def _review(rng: random.Random, label: int, longest: int) -> str:
    length = rng.randint(4, longest)
    about = max(2, length // 4)
    telling = rng.choices(CLASS_WORDS[CLASS_NAMES[label]].split(), k=about)
    words = telling + rng.choices(NEUTRAL_WORDS.split(), k=length - about)
    rng.shuffle(words)
    return " ".join(words)


def write_csv(path: str | Path, texts: Sequence[str], labels: Sequence[int | str]) -> Path:
    """Write the columns `text` and `label` with a header line."""
    path = _ready(path)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(texts, labels, strict=True))
    return path


def write_jsonl(path: str | Path, texts: Sequence[str], labels: Sequence[int | str]) -> Path:
    """Write one object with `text` and `label` a line."""
    path = _ready(path)
    rows = ({"text": text, "label": label} for text, label in zip(texts, labels, strict=True))
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(
    path: str | Path, texts: Sequence[str], labels: Sequence[int | str], names: Sequence[str] | None = None
) -> Path:
    """Write the columns `text` and `label`; with `names`, the label column is marked as a ClassLabel of them."""
    path = _ready(path)
    table = pa.table({"text": list(texts), "label": list(labels)})
    if names is not None:
        features = {
            "text": {"dtype": "string", "_type": "Value"},
            "label": {"names": list(names), "_type": "ClassLabel"},
        }
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


def build_dataset(
    folder: str | Path,
    *,
    configs: Mapping[str, int] | None = None,
    splits: Mapping[str, int] | None = None,
    seed: int = 0,
) -> Path:
    """Write a data set repository as the hub holds it: Parquet files, and a README.md whose YAML names them.

    Args:
        folder: where to; made if it is not there.
        configs: the number of classes of each configuration, the default one first.
        splits: the number of rows of each split.
        seed: of the reviews; each split gets its own.

    Returns:
        The folder.
    """
    folder = Path(folder)
    configs = configs or {"sentiment": 2, "topics": 4}
    splits = splits or {"train": 48, "validation": 16, "test": 16}
    for name, classes in configs.items():
        for offset, (split, rows) in enumerate(splits.items()):
            texts, labels = reviews(rows, classes, seed + offset)
            write_parquet(folder / name / f"{split}.parquet", texts, labels, CLASS_NAMES[:classes])
    front = yaml.safe_dump(_card(configs, list(splits)), sort_keys=False)
    (folder / "README.md").write_text(f"---\n{front}---\n# Tiny reviews\n", encoding="utf-8")
    return folder


def _card(configs: Mapping[str, int], splits: Sequence[str]) -> dict[str, Any]:
    default = next(iter(configs))
    listed = [
        {
            "config_name": name,
            **({"default": True} if name == default else {}),
            "data_files": [{"split": split, "path": f"{name}/{split}.parquet"} for split in splits],
        }
        for name in configs
    ]
    described = [
        {"config_name": name, "features": [{"name": "text", "dtype": "string"}, _label_feature(classes)]}
        for name, classes in configs.items()
    ]
    return {"license": "apache-2.0", "configs": listed, "dataset_info": described}


def _label_feature(classes: int) -> dict[str, Any]:
    names = {str(index): name for index, name in enumerate(CLASS_NAMES[:classes])}
    return {"name": "label", "dtype": {"class_label": {"names": names}}}


def _ready(path: str | Path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
