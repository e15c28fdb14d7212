"""Whatever a base can be, it is trained right or refused before training in one paragraph, and no run folder stays."""

import json
import random

import pytest
import torch
from transformers import AutoConfig, AutoModel

import tiny
import tokenising

EACH_TIME, LONG = 12, 400


def made(folder, number):
    """A base by the number's own draw: sizes, settings and a tokenizer that fit each other or not."""
    draw = random.Random(number)
    family = draw.choice(list(tiny.FAMILIES))
    kind = draw.choice([kind for kind in tokenising.KINDS if kind != "python" or family == "roberta"])
    tokenising.build_base(folder, kind, family=family)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    changes = odd_sizes(draw, family) | odd_settings(draw, settings)
    settings.pop("layer_types", None)  # of as many layers as there were
    changed = {**settings, **changes, "model_type": family}
    torch.manual_seed(number)
    try:
        AutoModel.from_config(AutoConfig.for_model(**changed)).save_pretrained(folder)
    except Exception:  # no such model can be: its configuration says so beside the weights of another
        (folder / "config.json").write_text(json.dumps(changed), encoding="utf-8")
    odd_tokenizer(draw, folder)
    return family, kind, changes


def odd_sizes(draw, family):
    """Sizes that a model can have: odd heads, few positions, one token type or none."""
    heads = draw.choice([1, 2, 3])
    hidden = heads * draw.choice([3, 7, 16, 20])
    positions = draw.choice([12, 33, 64, 130])
    if family == "distilbert":
        return {"dim": hidden, "n_heads": heads, "hidden_dim": draw.choice([5, 64]), "max_position_embeddings": positions}
    sizes = {"hidden_size": hidden, "num_attention_heads": heads, "intermediate_size": draw.choice([5, 64]),
             "max_position_embeddings": positions, "num_hidden_layers": draw.choice([1, 2])}  # fmt: skip
    if family not in ("modernbert", "mpnet"):
        sizes["type_vocab_size"] = draw.choice([1, 2] if family != "deberta-v2" else [0, 2])
    return sizes


def odd_settings(draw, settings):
    """Settings of every kind, now and then."""
    vocab = settings["vocab_size"]
    odd = {
        "vocab_size": draw.choice([vocab - 5, vocab + 7]),
        "pad_token_id": draw.choice([0, 3, vocab - 6]),
        "hidden_act": draw.choice(["relu", "gelu_new", "silu"]),
        "return_dict": False,
        "output_hidden_states": True,
        "position_embedding_type": "relative_key",
        "chunk_size_feed_forward": 3,
        "classifier_dropout": 0.5,
        "made_up": 1,
    }
    return dict(draw.sample(sorted(odd.items()), draw.choice([0, 0, 1, 2])))


def odd_tokenizer(draw, folder):
    """A tokenizer without a padding token, with another one, or without anything around a text, now and then."""
    file = folder / "tokenizer_config.json"
    described = json.loads(file.read_text(encoding="utf-8"))
    what = draw.choice([None, None, None, "no pad", "other pad", "nothing around"])
    if what == "no pad":
        described.pop("pad_token", None)
    elif what == "other pad":
        described["pad_token"] = described.get("mask_token", "<mask>")
    elif what == "nothing around" and (folder / "tokenizer.json").exists():
        whole = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        (folder / "tokenizer.json").write_text(json.dumps(whole | {"post_processor": None}), encoding="utf-8")
    file.write_text(json.dumps(described), encoding="utf-8")


@pytest.mark.parametrize(
    "number", [*range(EACH_TIME), *(pytest.param(number, marks=pytest.mark.slow) for number in range(EACH_TIME, LONG))]
)
def test_it_is_trained_right_or_refused_and_nothing_stays(number, tmp_path, capsys):
    from lorabert.cli import main

    made(tmp_path / "base", number)
    texts, labels = tiny.reviews(40, 2, seed=number, longest=12)
    pairs = number % 4 == 3
    header = "text,second,label" if pairs else "text,label"
    rows = [
        f"{text},{'and ' + text if pairs else ''}{',' if pairs else ''}{label}" for text, label in zip(texts, labels, strict=True)
    ]
    (tmp_path / "d.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    columns = ["--data.text", "text", "--data.label", "label", *(["--data.text_pair", "second"] if pairs else [])]
    code = main(["train", "--data.train", "d.csv", *columns, "--model.name", "base", "--model.max_length", "32", "--out", "run",
                 "--train.num_train_epochs", "1", "--train.baselines", "false", "--train.precision", ("fp32", "bf16")[number % 2],
                 "--train.engine", ("auto", "reference")[number // 2 % 2]])  # fmt: skip
    told = capsys.readouterr()
    if code == 0:
        assert main(["evaluate", "run"]) == 0, capsys.readouterr().err
        return
    assert code == 2, told.err
    assert "Traceback" not in told.err
    assert not (tmp_path / "run").exists()
