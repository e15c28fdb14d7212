"""Tiny bases with every kind of tokenizer: word pieces, byte-level BPE, unigrams, padding on the left, in Python only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import tiny

KINDS = ("wordpiece", "bpe", "unigram", "left", "python")
PHOBERT = ("<s>", "<pad>", "</s>", "<unk>")  # the ids that PhobertTokenizer gives them, whatever vocab.txt says
_WORDS = [" ".join(tiny.WORDS), " ".join(reversed(tiny.WORDS))]


def build_base(folder: str | Path, kind: str, *, family: str = "bert", seed: int = 0, **config: Any) -> Path:
    """Write a tiny random base whose tokenizer is of the kind.

    Args:
        folder: where to.
        kind: one of `KINDS`.
        family: one of `tiny.FAMILIES`.
        seed: of the weights.
        config: further settings of the model.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    special = tiny.FAMILIES[family].special
    if kind == "python":
        size, ids = _python(folder), {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    else:
        tokenizer = {"bpe": _bpe, "unigram": _unigram}.get(kind, lambda _: tiny.build_tokenizer(family))(special)
        if kind in ("bpe", "unigram"):
            vocab = tokenizer.get_vocab()
            tokenizer.post_processor = _around(special, vocab)
        ids = {name: tokenizer.token_to_id(special.tokens[index]) for name, index in special.ids().items()}
        size = tokenizer.get_vocab_size()
        tokenizer.save(str(folder / "tokenizer.json"))
        described = tiny.tokenizer_config(family) | ({"padding_side": "left"} if kind == "left" else {})
        (folder / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")
    model = tiny.build_model(family, vocab_size=size, seed=seed, **{**ids, **config})
    model.save_pretrained(folder)
    return folder


def _around(special: tiny.Special, vocab: dict[str, int]) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(
        single=f"{special.cls} $A {special.sep}",
        pair=f"{special.cls}:0 $A:0 {special.sep}:0 $B:1 {special.sep}:1",
        special_tokens=[(token, vocab[token]) for token in (special.cls, special.sep)],
    )


def _bpe(special: tiny.Special) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=special.unk))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=list(special.tokens), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_WORDS, trainer)
    return tokenizer


def _unigram(special: tiny.Special) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=[AddedToken(token, special=True) for token in special.tokens], unk_token=special.unk,
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(_WORDS, trainer)
    return tokenizer


def _python(folder: Path) -> int:
    """PhoBERT's files: words whole, everything else in letters; returns the size of the vocabulary."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokens = list(dict.fromkeys([*(f"{letter}@@" for letter in letters), *letters, *tiny.WORDS]))
    merges = {}
    for word in tiny.WORDS:
        for end in range(2, len(word) + 1):
            left = word[: end - 1]
            right = word[end - 1] + ("</w>" if end == len(word) else "")
            merges.setdefault(f"{left} {right}", None)
    (folder / "vocab.txt").write_text("".join(f"{token} 1\n" for token in tokens), encoding="utf-8")
    (folder / "bpe.codes").write_text("#version: 0.2\n" + "".join(f"{merge} 1\n" for merge in merges), encoding="utf-8")
    described = {"tokenizer_class": "PhobertTokenizer", "model_max_length": 128}
    (folder / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")
    return len(PHOBERT) + len(tokens) + 1  # <mask>
