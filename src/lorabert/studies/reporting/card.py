"""The model card: the README.md that an adapter carries, made from its run's record."""

from __future__ import annotations

import re
from typing import Any

from lorabert.evidence.baselines import titled
from lorabert.naming import visible
from lorabert.studies.reporting.lines import percent

_PIPELINE = """import json

from transformers import AutoTokenizer, pipeline

labels = json.load(open("THIS_FOLDER/lorabert.json", encoding="utf-8"))["labels"]
classify = pipeline(
    "text-classification",
    "THIS_FOLDER",
    tokenizer=AutoTokenizer.from_pretrained("THIS_FOLDER"),
    model_kwargs={{"id2label": dict(enumerate(labels)), "ignore_mismatched_sizes": True}},
)
print(classify({example}, truncation=True, max_length={max_length}))"""

_PEFT = """import json

import torch
from peft import AutoPeftModelForSequenceClassification
from transformers import AutoTokenizer

labels = json.load(open("THIS_FOLDER/lorabert.json", encoding="utf-8"))["labels"]
model = AutoPeftModelForSequenceClassification.from_pretrained(
    "THIS_FOLDER", num_labels=len(labels), ignore_mismatched_sizes=True
).eval()
encode = AutoTokenizer.from_pretrained("THIS_FOLDER")
batch = encode({arguments}, truncation=True, max_length={max_length}, padding=True, return_tensors="pt")
with torch.inference_mode():
    logits = model(**batch).logits
print([labels[best] for best in logits.argmax(1)])"""


def model_card(record: dict[str, Any]) -> str:
    """The README.md of an adapter, made from its run's record: Markdown below the hub's YAML header."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(task_type="text-classification", dataset_type="custom", dataset_name=record["data"]["origin"],
                   dataset_split="test", metric_type=name, metric_value=round(estimate["value"], 4))
        for name, estimate in record["metrics"].items()
    ]  # fmt: skip
    header = ModelCardData(
        base_model=record["base"]["name"],
        library_name="peft",
        pipeline_tag="text-classification",
        tags=["lorabert", record["method"]],
        model_name=f"{record['data']['origin']}-{record['method']}",
        eval_results=results,
    )
    return f"---\n{header.to_yaml()}\n---\n\n{_card_body(record)}"


_MARKS = re.compile(r"([\\`*_\[\]<>#|~])")


def _plain(name: str) -> str:
    """A name that is not ours as Markdown prints it, letter by letter."""
    return _MARKS.sub(r"\\\1", visible(name))


def _code(name: str) -> str:
    """The same as code, between more backticks than it holds in a row; spaces part it from them where it must be."""
    shown = visible(name)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _card_body(record: dict[str, Any]) -> str:
    base, data, trainable = record["base"], record["data"], record["trainable"]
    rows = [(record["method"], record["metrics"]), *titled(record["baselines"]).items()]
    table = "\n".join(
        f"| {name} | {percent(scores['accuracy'])} | {percent(scores['f1_macro'])} | {percent(scores['mcc'])} |"
        for name, scores in rows
    )
    pairs, max_length = data["columns"]["text_pair"] is not None, record["config"]["model"]["max_length"]
    example = '[{"text": "a text", "text_pair": "its second text"}]' if pairs else '["a text", "another"]'
    arguments = '["a text"], ["its second text"]' if pairs else '["a text", "another"]'
    labels = "\n".join(f"{index}. {_code(name)}" for index, name in enumerate(data["labels"]))
    return f"""# {_plain(data["origin"])}: a text classifier on {_plain(base["name"])}

Method **{record["method"]}**, {trainable["parameters"]:,} trained parameters, of which {trainable["head_parameters"]:,} are
the classification head. Trained on {data["examples"]["train"]:,} examples, seed {record["seed"]}, learning rate
{record["config"]["train"]["learning_rate"]:g}, {record["fit"]["epochs"]:g} epochs, {record["precision"]} on {record["device"]}.

## Test results

{data["examples"]["test"]:,} examples; values in points with 95% intervals over examples, one seed.

| | accuracy | macro-F1 | MCC |
|---|---|---|---|
{table}

## Labels

{labels}

## Use

```
lorabert predict THIS_FOLDER {"--file FILE" if pairs else '"a text"'}
```

Transformers with PEFT beside it gives the same answers:

```python
{_PIPELINE.format(example=example, max_length=max_length)}
```

So does PEFT alone:

```python
{_PEFT.format(arguments=arguments, max_length=max_length)}
```

Both take the base from where `base_model_name_or_path` in `adapter_config.json` says. Where it lies elsewhere by now, put its
folder or hub id there, or load it first: `PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(FOLDER,
num_labels={len(data["labels"])}, ignore_mismatched_sizes=True), THIS_FOLDER)`. It is {_code(base["name"])}, revision
{base["revision"]}, weights sha256 `{base["sha256"]}`.
Neither tool can tell the labels from the folder, so it is told them; `ignore_mismatched_sizes` makes room for them where the
base has a head of another size. Texts are cut at {max_length} tokens.

## Limits

The figures hold for texts like those of the test split. Nothing was measured about fairness, other domains or attacks.
"""
