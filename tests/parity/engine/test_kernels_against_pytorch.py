"""The compiled steps against PyTorch's, with the same dropout: every mask, the logits and every gradient."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import tolerances
from classifiers import PACKED_FAMILIES, classifier, stream
from lorabert.data.packing import join, pack
from lorabert.engine import kernels
from lorabert.engine.packed import Adapter, Bits, PackedBase, PackedClassifier, adapter_in
from lorabert.models.wrapped import classifier_of

RAGGED = [1, 30, 7, 7, 7, 19, 2, 17, 16, 11]
METHODS = [("lora", {"r": 3}), ("lora", {"r": 11, "target_modules": "all-linear"}), ("full", {}), ("bitfit", {}), ("head", {})]


@pytest.fixture(autouse=True)
def _there():
    if kernels.state().library is None:
        pytest.skip(kernels.state().reason)


@pytest.fixture
def both(monkeypatch):
    """A function's value with compiled steps, and with PyTorch's."""

    def run(compute):
        compiled = compute()
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "usable", lambda *tensors: False)
            return compiled, compute()

    return run


def step(model, split, dtype=torch.float32, seed=3):
    """Logits and gradients of one training step, by name."""
    batch = pack(split, np.arange(len(split)))
    model.zero_grad()
    answers = PackedClassifier(model, dtype)(batch, Bits(seed))
    F.cross_entropy(answers, torch.from_numpy(batch.labels)).backward()
    return {"logits": answers.detach()} | {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def apart(left, right):
    """Largest difference, of logits and of gradients, relative to the largest of each kind."""
    assert left.keys() == right.keys()

    def largest(names):
        scale = max(float(right[name].abs().max()) for name in names)
        return max(float((left[name] - right[name]).abs().max()) for name in names) / scale

    return largest(["logits"]), largest(left.keys() - {"logits"})


@pytest.mark.parametrize("family", PACKED_FAMILIES)
@pytest.mark.parametrize(("method", "lora"), METHODS, ids=["r3", "all-linear", "full", "bitfit", "head"])
def test_a_training_step_with_dropout(both, family, method, lora):
    model, split = classifier(family, method, dropout=0.2, **lora), stream(RAGGED)
    compiled, plain = both(lambda: step(model, split))
    logits, gradients = apart(compiled, plain)
    assert logits < tolerances.FP32_LOGITS
    assert gradients < tolerances.FP32_GRADIENTS


def test_negative_control_other_dropout_is_seen(both):
    model, split = classifier(dropout=0.2), stream(RAGGED)
    seeds = iter([3, 4])
    compiled, plain = both(lambda: step(model, split, seed=next(seeds)))
    assert min(apart(compiled, plain)) > 1e-2


def test_half_precision_is_no_further_from_fp32_than_pytorch(both):
    model, split = classifier(dropout=0.2, target_modules="all-linear"), stream(RAGGED)
    exact = step(model, split)
    compiled, plain = both(lambda: step(model, split, torch.bfloat16))
    for ours, theirs in zip(apart(compiled, exact), apart(plain, exact), strict=True):
        assert 0 < ours < tolerances.HALF_ERROR_RATIO * theirs


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_batches_of_any_shape(lengths, seed):
    model, split = classifier(dropout=0.1), stream(lengths)
    compiled = step(model, split, seed=seed)
    usable, kernels.usable = kernels.usable, lambda *tensors: False
    try:
        plain = step(model, split, seed=seed)
    finally:
        kernels.usable = usable
    assert max(apart(compiled, plain)) < tolerances.FP32_GRADIENTS


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 4, 255, 1000, 172_003])
def test_masks_are_the_same_bits(both, threads, dtype, size):
    def draw():
        bits, masks = Bits(7), []
        for _ in range(3):  # the second begins in the middle of a word
            masks.append(torch.empty(size, dtype=dtype))
            bits.fill(masks[-1], 6554)
        return torch.cat([*masks, bits.words(2).to(dtype)])

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        compiled, plain = both(draw)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(compiled, plain)
    assert set(compiled[: 3 * size].unique().tolist()) <= {0.0, 1.0}


def test_more_threads_than_rows(both):
    model, split = classifier(dropout=0.2), stream([3, 2])
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        compiled, plain = both(lambda: step(model, split))
    finally:
        torch.set_num_threads(before)
    assert max(apart(compiled, plain)) < tolerances.FP32_GRADIENTS


def test_several_adapters_each_on_its_own_rows(both):
    models = [classifier(seed=seed, dropout=0.2, r=rank) for seed, rank in ((1, 2), (2, 9))]
    batch = join([pack(stream(RAGGED, seed=seed), np.arange(6)) for seed in (1, 2)])
    base = PackedBase(classifier_of(models[0]))
    adapters: list[Adapter] = [adapter_in(model) for model in models]

    def compute():
        for model in models:
            model.zero_grad()
        answers = base(base.inputs(batch), adapters, [Bits(1), Bits(2)])
        (answers[0] ** 2).sum().backward()
        return answers, [p.grad for model in models for p in model.parameters() if p.requires_grad and p.grad is not None]

    (compiled, ours), (plain, theirs) = both(compute)
    for left, right in zip([*compiled, *ours], [*plain, *theirs], strict=True):
        assert torch.allclose(left, right, rtol=1e-4, atol=1e-5)
    assert not any(p.grad is not None and p.grad.any() for name, p in models[1].named_parameters() if "lora" in name)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_number_that_is_none_shows_in_its_text_and_in_no_other(both, broken):
    split = stream(RAGGED)
    model = classifier()
    word = model.get_base_model().bert.embeddings.word_embeddings.weight
    split.ids[:] = np.where(split.ids == 149, 5, split.ids)
    split.ids[split.offsets[1]] = 149
    with torch.no_grad():
        word[149] = broken
    for found in both(lambda: PackedClassifier(model)(pack(split, np.arange(len(split))), Bits(0)).detach()):
        finite = torch.isfinite(found).all(1)
        assert (~finite).sum() == 1


WIDTHS = [1, 12, 16, 37, 64]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("wide", "out", "rank"), [(1, 1, 1), (37, 12, 3), (20, 50, 8), (64, 33, 13)])
def test_lora_of_any_width(wide, out, rank, dtype):
    x, g, keep = torch.randn(19, wide).to(dtype), torch.randn(19, out).to(dtype), (torch.rand(19, wide) < 0.8).to(dtype)
    a, b, y, dx = torch.randn(rank, wide), torch.randn(out, rank), torch.zeros(19, out + 2, dtype=dtype), torch.zeros_like(x)
    low = kernels.low_rank(x, keep, a, b, 0.5, y[:, 1:-1])
    d_a, d_b = kernels.low_rank_backward(g, x, keep, a, b, 0.5, low, dx)
    kept, wanted = x.float() * keep.float(), torch.float32 if dtype == torch.float32 else dtype
    v = 0.5 * g.float() @ b
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-2, "atol": 1e-2}
    assert torch.allclose(y[:, 1:-1], (0.5 * kept @ a.t() @ b.t()).to(wanted), **close)
    assert not y[:, [0, -1]].any()
    assert torch.allclose(dx, (v @ a * keep.float()).to(wanted), **close)
    assert torch.allclose(d_a, v.t() @ kept, rtol=1e-4, atol=1e-4)
    assert torch.allclose(d_b, 0.5 * g.float().t() @ (kept @ a.t()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("times", [1, 40], ids=["few rows", "many rows"])
def test_loras_of_several_adapters_at_once_are_those_one_by_one(times, dtype, threads):
    x, y = torch.randn(40 * times, 37).to(dtype), torch.zeros(40 * times, 60, dtype=dtype)
    stretches = [slice(0, times), slice(times, 18 * times), slice(20 * times, 40 * times)]
    parts = [
        [(column, torch.randn(rank, 37), torch.randn(out, rank), 0.5 * rank) for column, rank, out in shapes]
        for shapes in ([(0, 1, 60)], [(0, 8, 20), (40, 3, 20)], [(7, 16, 1), (8, 5, 33)])
    ]
    expected = y.clone()
    for rows, own in zip(stretches, parts, strict=True):
        for column, a, b, scale in own:
            kernels.low_rank(x[rows], None, a, b, scale, expected[rows, column : column + len(b)])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        kernels.low_ranks(x, [(rows, kernels.Prepared(own)) for rows, own in zip(stretches, parts, strict=True)], y)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(y, expected)
    assert not y[18 * times : 20 * times].any()
    assert y[stretches[1], 20:40].count_nonzero() == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_norm_of_any_width(width):
    u, residual, g, keep = torch.randn(3, 7, width).unbind() + (torch.rand(7, width) < 0.8).float().unsqueeze(0).unbind()
    weight, bias = torch.randn(width), torch.randn(width)
    y, summed, mean, inverse = kernels.add_norm(u, residual, keep, 1.25, weight, bias, 1e-5)
    leaf = u.clone().requires_grad_()
    expected = F.layer_norm(residual + leaf * keep * 1.25, (width,), weight, bias, 1e-5)
    expected.backward(g)
    assert torch.allclose(y, expected.detach(), atol=1e-5)
    _, d_u = kernels.add_norm_backward(g, summed, mean, inverse, weight, keep, 1.25)
    assert torch.allclose(d_u, leaf.grad, atol=1e-4 * float(inverse.max()))
    assert torch.allclose(kernels.column_sums(g), g.sum(0), atol=1e-5)


@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("once", [False, True], ids=["every token asks", "each text asks once"])
def test_attention_of_any_head_size(size, once):
    lengths = np.array([5, 17, 1])
    starts, heads = np.cumsum(lengths) - lengths, 2
    queries, keys, values = (torch.randn(23, heads * size, requires_grad=True) for _ in range(3))
    asking = np.arange(3) if once else starts
    texts = kernels.Texts(starts, lengths, asking, np.zeros(3, np.int64), lengths, heads, once)
    first = queries[torch.from_numpy(starts)] if once else queries
    mixed = []
    for begin, length in zip(starts, lengths, strict=True):
        rows = slice(begin, begin + length)
        q, k, v = (t[rows].view(length, heads, size).transpose(0, 1) for t in (queries, keys, values))
        one = F.scaled_dot_product_attention(q, k, v).transpose(0, 1).reshape(length, -1)
        mixed.append(one[:1] if once else one)
    expected = torch.cat(mixed)
    g = torch.randn_like(expected)
    expected.backward(g)
    states = torch.cat([keys, values], 1).detach()
    inputs = (first.detach().contiguous(), *states.chunk(2, 1))
    out, softened = kernels.attention(texts, *inputs, None, 1.0)
    assert torch.allclose(out, expected.detach(), atol=1e-5)
    places = (torch.zeros_like(inputs[0]), *torch.zeros_like(states).chunk(2, 1))
    kernels.attention_backward(texts, inputs, None, 1.0, g, softened, places)
    asked = queries.grad[torch.from_numpy(starts)] if once else queries.grad
    for got, wanted in zip(places, (asked, keys.grad, values.grad), strict=True):
        assert torch.allclose(got, wanted, atol=1e-4)
