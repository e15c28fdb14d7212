"""`train`, then everybody who may be asked: predict, evaluate, exports, the server, plain PEFT and pipeline give one answer."""

import json

import numpy as np
import pytest
from scipy.special import softmax

import serving
import tiny
import tokenising
import tolerances
from classifiers import PACKED_FAMILIES

pytestmark = pytest.mark.anyio
LABELS = ["bad", "fair", "good"]
TEXTS = [*tiny.reviews(5, 3, seed=8)[0], "ok", "word " * 60, "awful!!! 9"]
MAX_LENGTH = 40
EACH_TIME = {
    ("bert", "wordpiece", "fast", "bf16"),
    ("roberta", "python", "reference", "bf16"),
    ("mpnet", "left", "reference", "fp32"),
}


def cases():
    """Every family, kind of tokenizer, engine and precision that go together; a few each time, all as slow ones."""
    for family in tiny.FAMILIES:
        for kind in tokenising.KINDS:
            if kind == "python" and family != "roberta":  # PhoBERT's own
                continue
            for engine in ("fast", "reference") if family in PACKED_FAMILIES else ("reference",):
                for precision in ("fp32", "bf16"):
                    case = (family, kind, engine, precision)
                    yield pytest.param(case, id="-".join(case), marks=() if case in EACH_TIME else pytest.mark.slow)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def asked(shell, here, workplace, request):
    """A run's record, its adapter and what plain PEFT makes of the texts, each alone."""
    family, kind, engine, precision = request.param
    name = "-".join(request.param)
    base = tokenising.build_base(
        shell.folder / f"base-{name}", kind, family=family, initializer_range=0.2
    )  # lively: its answers differ by text
    options = [
        "--data.train",
        "reviews.csv",
        "--model.name",
        base,
        "--model.max_length",
        str(MAX_LENGTH),
        "--train.engine",
        engine,
    ]
    options += ["--train.precision", precision, "--train.learning_rate", "5e-3", "--train.num_train_epochs", "1"]
    options += ["--train.baselines", "false"]
    done = here("train", *options, "--out", f"run-{name}", "--json")
    assert done.code == 0, done.err
    adapter = shell.folder / f"run-{name}" / "adapter"
    return done.json, adapter, by_peft(base, adapter)


def by_peft(base, adapter):
    import peft
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(LABELS))
    model = peft.PeftModel.from_pretrained(model, adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    with torch.inference_mode():
        rows = [tokenizer(text, truncation=True, max_length=MAX_LENGTH, return_tensors="pt") for text in TEXTS]
        return np.concatenate([model(row["input_ids"], attention_mask=row["attention_mask"]).logits.numpy() for row in rows])


def scores_of(pipeline_answers):
    return np.array([[{each["label"]: each["score"] for each in row}[label] for label in LABELS] for row in pipeline_answers])


@pytest.mark.parametrize("asked", list(cases()), indirect=True)
async def test_one_adapter_gives_one_answer_whoever_is_asked(asked, shell, here, tmp_path):
    record, adapter, logits = asked
    wanted = softmax(logits, axis=1)
    assert np.abs(logits - logits.mean(0)).max() > 10 * tolerances.FP32_LOGITS_OF_FRESH_BASES  # texts differ in their answers

    predicted = here("predict", adapter, *TEXTS)
    assert predicted.code == 0, predicted.err
    given = np.array([list(json.loads(line)["scores"].values()) for line in predicted.out.splitlines()])
    agree(given, wanted, "predict")

    elsewhere = shell("evaluate", record["run"], "--json")
    assert elsewhere.code == 0, elsewhere.err
    assert elsewhere.json["fingerprint_difference"] == 0
    assert elsewhere.json["metrics"] == record["metrics"]

    agree(through_pipeline(adapter, id2label=dict(enumerate(LABELS)), ignore_mismatched_sizes=True), wanted, "pipeline")
    for format_name in ("merged", "onnx"):
        out = tmp_path / format_name
        done = here("export", adapter, "--format", format_name, "--out", out)
        assert done.code == 0, done.err
        given = through_pipeline(out) if format_name == "merged" else through_onnx(out)
        agree(given, wanted, format_name)
    if record["engine"] == "fast":
        agree(await through_the_server(adapter), wanted, "serve")


def agree(given, wanted, who):
    assert given.shape == wanted.shape, who
    assert np.abs(given - wanted).max() < tolerances.FP32_LOGITS_OF_FRESH_BASES, who


def through_pipeline(folder, **model_kwargs):
    """By the folder alone, its texts in one padded batch."""
    from transformers import AutoTokenizer, pipeline

    classify = pipeline("text-classification", str(folder), tokenizer=AutoTokenizer.from_pretrained(folder),
                        model_kwargs=model_kwargs, top_k=None, batch_size=len(TEXTS))  # fmt: skip
    return scores_of(classify(TEXTS, truncation=True, max_length=MAX_LENGTH))


def through_onnx(folder):
    """As docs/exporting.md shows it."""
    import onnxruntime
    from transformers import AutoTokenizer

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    encode = AutoTokenizer.from_pretrained(folder)
    batch = encode(TEXTS, truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="np")
    return softmax(session.run(["logits"], {given.name: batch[given.name] for given in session.get_inputs()})[0], axis=1)


async def through_the_server(adapter):
    async with serving.serve(f"asked={adapter}") as client:
        answer = await client.classify("asked", TEXTS)
        assert answer.status_code == 200, answer.text
        return np.array([row["probs"] for row in answer.json()["data"]])
