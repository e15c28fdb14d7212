"""What each method trains, exactly: by name, by count, and by what a step of training changes."""

import copy
import dataclasses

import peft
import pytest
import torch
from packaging.version import Version

import tiny
from lorabert.config import METHODS, LoraConfig, ModelConfig
from lorabert.errors import InputError
from lorabert.models import bases, methods
from lorabert.models.families import FAMILIES

LABELS = ["neg", "pos", "so-so"]
QUERY_VALUE = {
    **{family: {"query", "value"} for family in ("bert", "roberta", "xlm-roberta", "camembert", "electra", "albert")},
    "distilbert": {"q_lin", "v_lin"},
    "deberta-v2": {"query_proj", "value_proj"},
    "mpnet": {"q", "v"},
    "modernbert": {"Wqkv"},
}


def loaded(folder, labels: list[str] = LABELS) -> bases.LoadedBase:
    torch.manual_seed(0)
    return bases.load(bases.find(ModelConfig(name=str(folder))), labels)


def applied(folder, method: str, **lora: object):
    base = loaded(folder)
    plain = {name: (tuple(p.shape), p.numel()) for name, p in base.model.named_parameters()}
    model = methods.apply(base, method, LoraConfig(**lora))
    return model, methods.trainable(model, base), base, plain


def every(*, without: tuple[str, ...] = ()) -> list:
    return [(family, method) for family in tiny.FAMILIES if family not in without for method in METHODS]


def head_of(family: str, names: list[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in FAMILIES[family].head}


def test_the_families_tested_are_the_families_known():
    assert set(QUERY_VALUE) == set(FAMILIES) == set(tiny.FAMILIES)


@pytest.mark.parametrize(("family", "method"), every())
def test_exactly_what_the_method_trains_requires_a_gradient(base_folder, family, method):
    model, found, _, plain = applied(base_folder(family), method, r=4)
    head = head_of(family, list(plain))
    assert head
    wanted = {
        "lora": head | {f"{target}.{part}.weight" for target in found.target_modules for part in ("lora_A", "lora_B")},
        "full": set(plain),
        "bitfit": head | {name for name in plain if name.split(".")[-1] == "bias"},
        "head": head,
    }[method]
    assert set(found.names) == wanted
    assert len(found.names) == len(wanted)
    counted = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert found.parameters == counted
    assert found.head_parameters == sum(plain[name][1] for name in head)
    added = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    assert found.all_parameters == sum(count for _, count in plain.values()) + added
    assert bool(found.target_modules) == (method == "lora")


@pytest.mark.parametrize(("family", "method"), every(without=("xlm-roberta", "camembert")))  # RoBERTa's own classes
def test_a_step_of_training_changes_what_is_trainable_and_nothing_else(base_folder, family, method):
    model, found, _, _ = applied(base_folder(family), method, lora_dropout=0.0)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1.0)
    ids = torch.randint(5, 60, (8, 12))
    model.eval()
    for _ in range(2):  # A's gradient is zero while B is
        model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.arange(8) % 3).loss.backward()
        optimizer.step()
    changed = {methods._plain(name) for name, parameter in model.named_parameters() if not torch.equal(before[name], parameter)}
    assert changed <= set(found.names)
    unused = {name for name in found.names if name not in changed}
    # Keys' biases cancel in the softmax; unused token types, positions and a pooler that nothing reads get no gradient.
    assert all(
        any(part in name for part in ("key", "k_lin", "attn.k", "embeddings", "pooler", "bias", "lora_A")) for name in unused
    )
    assert any(part in name for name in changed for part in ("classifier", "out_proj"))
    assert method != "lora" or any("lora_B" in name for name in changed)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_auto_targets_query_and_value_of_every_layer(base_folder, family):
    _, found, _, _ = applied(base_folder(family), "lora")
    assert {name.rsplit(".", 1)[-1] for name in found.target_modules} == QUERY_VALUE[family]
    layers = 1 if family == "albert" else 2  # ALBERT's layers share their weights
    assert len(found.target_modules) == layers * len(QUERY_VALUE[family])


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_all_linear_takes_every_linear_layer_but_the_heads(base_folder, family):
    _, found, base, _ = applied(base_folder(family), "lora", target_modules="all-linear")
    plain = loaded(base_folder(family)).model
    linear = {name for name, module in plain.named_modules() if isinstance(module, torch.nn.Linear)}
    assert set(found.target_modules) == {name for name in linear if name.split(".")[0] not in FAMILIES[family].head}
    assert any("head" in name or "classifier" in name for name in linear - set(found.target_modules))
    assert base.new_tensors


@pytest.mark.parametrize("wanted", [["key"], "key", "attention.self.key", ["layer.1.attention.self.key"], " key , key"])
def test_named_targets_match_the_ends_of_names(tiny_base, wanted):
    _, found, _, _ = applied(tiny_base, "lora", target_modules=wanted)
    assert {name.rsplit(".", 1)[-1] for name in found.target_modules} == {"key"}
    assert len(found.target_modules) == (1 if "layer.1" in str(wanted) else 2)


@pytest.mark.parametrize("wanted", [["quary"], ["query", "quary"], "q_proj,v_proj", ["uery"], ["classifier"], ["embeddings"]])
def test_targets_that_match_nothing_are_refused_with_what_could_be(tiny_base, wanted):
    with pytest.raises(InputError, match=r"matches no linear layer.*dense, key, query, value"):
        applied(tiny_base, "lora", target_modules=wanted)


@pytest.mark.parametrize("wanted", [[], ""])
def test_no_targets_at_all_are_refused(tiny_base, wanted):
    with pytest.raises(InputError, match="all-linear"):
        applied(tiny_base, "lora", target_modules=wanted)


def test_auto_on_an_unknown_family_is_refused_with_what_could_be_and_named_targets_work(tiny_base, monkeypatch):
    monkeypatch.delitem(FAMILIES, "bert")
    with pytest.raises(InputError, match=r"no known query and value for bert.*all-linear.*query, value"):
        applied(tiny_base, "lora")
    _, found, _, _ = applied(tiny_base, "lora", target_modules=["query"])
    assert len(found.target_modules) == 2
    assert {name.split(".")[0] for name in found.names} == {"bert", "classifier"}


# ---- all that is new is trained and saved


@pytest.mark.parametrize("method", METHODS)
def test_a_newly_initialised_pooler_is_trained(base_folder, method):
    _, found, base, _ = applied(base_folder("bert", with_pooler=False), method)
    assert {"bert.pooler.dense.weight", "bert.pooler.dense.bias"} <= set(base.new_tensors) <= set(found.names)
    _, found, _, _ = applied(base_folder("bert"), "lora")
    assert "bert.pooler.dense.weight" not in found.names  # one that the checkpoint has stays frozen


def test_modules_to_save_are_trained_whole_and_carry_no_lora(tiny_base):
    _, found, _, _ = applied(tiny_base, "lora", modules_to_save=["pooler", "layer.1.output"], target_modules="all-linear")
    assert {"bert.pooler.dense.weight", "bert.encoder.layer.1.output.dense.weight"} <= set(found.names)
    assert not any("pooler" in name or "layer.1.output" in name for name in found.target_modules)
    assert "bert.encoder.layer.0.output.dense" in found.target_modules


def test_modules_to_save_that_match_nothing_are_refused_with_the_nearest(tiny_base):
    with pytest.raises(InputError, match=r"'poler'.*pooler"):
        applied(tiny_base, "lora", modules_to_save=["poler"])


@pytest.mark.parametrize("bias", ["none", "all", "lora_only"])
def test_bias_trains_the_biases_it_names(tiny_base, bias):
    if bias == "lora_only" and Version(peft.__version__) < Version("0.19"):
        pytest.skip("peft 0.18 would lose these biases, and is refused")
    _, found, _, plain = applied(tiny_base, "lora", bias=bias)
    trained = {name for name in found.names if name.endswith("bias")}
    everywhere = {name for name in plain if name.endswith("bias")}
    adapted = {f"{name}.bias" for name in found.target_modules}
    assert trained == {"classifier.bias"} | {"none": set(), "all": everywhere, "lora_only": adapted}[bias]


@pytest.mark.parametrize("method", ["full", "bitfit", "head"])
def test_loras_own_knobs_do_not_touch_other_methods(tiny_base, method):
    one = applied(tiny_base, method)[1]
    other = applied(tiny_base, method, r=3, bias="all", use_dora=True, target_modules=["nothing"], init_lora_weights="gaussian")[
        1
    ]
    assert other == one


@pytest.mark.parametrize("method", METHODS)
def test_a_method_starts_from_the_bases_own_answers(tiny_base, method):
    ids = torch.arange(5, 17)[None]
    base = loaded(tiny_base)
    wanted = copy.deepcopy(base.model).eval()(input_ids=ids).logits
    assert torch.equal(methods.apply(base, method, LoraConfig()).eval()(input_ids=ids).logits, wanted)


def test_lora_a_follows_the_random_state(tiny_base):
    def drawn(seed: int) -> torch.Tensor:
        base = loaded(tiny_base)
        torch.manual_seed(seed)
        model = methods.apply(base, "lora", LoraConfig())
        return next(parameter.detach() for name, parameter in model.named_parameters() if "lora_A" in name)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_the_line_is_pefts_line_with_the_head_apart_and_its_frozen_copy_left_out(tiny_base, capsys):
    model, found, _, _ = applied(tiny_base, "lora")
    model.print_trainable_parameters()
    printed = capsys.readouterr().out.strip()
    # PEFT counts the frozen copy that it keeps of the head among "all params"; a model that is used has no such copy.
    counted = dataclasses.replace(found, all_parameters=found.all_parameters + found.head_parameters)
    assert str(counted).replace(f" (of which head: {found.head_parameters:,})", "") == printed
    assert f"of which head: {found.head_parameters:,}" in str(found)


def test_counting_changes_nothing(tiny_base):
    model, found, base, _ = applied(tiny_base, "lora")
    assert methods.trainable(model, base) == found
    assert dataclasses.is_dataclass(found)


def test_a_rank_above_the_bases_width_is_refused_and_one_that_fills_it_is_taken(tiny_base):
    width = tiny.HIDDEN["hidden_size"]
    with pytest.raises(InputError, match=rf"lora\.r is larger than the base is wide\. Got 33\. Expected at most {width}"):
        applied(tiny_base, "lora", r=width + 1)
    assert applied(tiny_base, "lora", r=width)[1].parameters > 0
    assert applied(tiny_base, "full", r=width + 1)[1].parameters > 0  # where there is no LoRA
