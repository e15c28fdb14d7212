"""What is said about data, models and records: lines for people, and the model card."""

from __future__ import annotations

from typing import Any

from lorabert.data.encoding import Encoded
from lorabert.data.sources import SPLITS, Splits


def data_line(splits: Splits) -> str:
    """Where the examples come from, how many there are, and what was decided on the way."""
    sizes = ", ".join(f"{len(getattr(splits, name)):,} {name}" for name in SPLITS)
    labels = ", ".join(splits.label_names[:8]) + (", …" if len(splits.label_names) > 8 else "")
    lines = [f"Data: {splits.origin}: {sizes}; {len(splits.label_names)} classes ({labels})"]
    return "\n".join([*lines, *(f"  {note}" for note in splits.notes)])


def new_tensors_line(new_tensors: list[str], method: str) -> str:
    """Explain the newly initialised weights, which Transformers warns of and which frighten people."""
    if not new_tensors:
        return "The base brings its own classification head; it is trained on."
    return (
        f"Newly initialised: {', '.join(new_tensors)}. This is as it should be: the base was trained to read, not to tell "
        f"your labels apart, so these tensors start random, are trained with the {method} weights and are saved in the adapter."
    )


def truncation_line(encoded: Encoded, max_length: int) -> str:
    """How many training texts were cut at max_length, and what share of the tokens' room padding would take."""
    train = encoded.train
    share = train.truncated / len(train)
    hint = "; raise --model.max_length to keep them whole" if share > 0.05 else ""
    return (
        f"Tokens: {train.lengths.mean():.1f} a text on average, {int(train.lengths.max())} at most; "
        f"{train.truncated:,} of {len(train):,} training texts ({share:.1%}) cut at {max_length}{hint}"
    )


def percent(estimate: dict[str, Any]) -> str:
    """A share as points with its interval: 82.1 [80.5, 83.6]."""
    return f"{100 * estimate['value']:.1f} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"


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


def _card_body(record: dict[str, Any]) -> str:
    base, data, trainable = record["base"], record["data"], record["trainable"]
    rows = [(record["method"], record["metrics"]), *record["baselines"].items()]
    table = "\n".join(
        f"| {name} | {percent(scores['accuracy'])} | {percent(scores['f1_macro'])} | {percent(scores['mcc'])} |"
        for name, scores in rows
    )
    labels = "\n".join(f"{index}. `{name}`" for index, name in enumerate(data["labels"]))
    return f"""# {data["origin"]}: a text classifier on {base["name"]}

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
lorabert predict THIS_FOLDER "a text"
```

Plain PEFT gives the same logits on the same base (`{base["name"]}`, revision {base["revision"]}, weights sha256
`{base["sha256"]}`): `PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(BASE,
num_labels={len(data["labels"])}), THIS_FOLDER)`. Texts are cut at {record["config"]["model"]["max_length"]} tokens.

## Limits

The figures hold for texts like those of the test split. Nothing was measured about fairness, other domains or attacks.
"""
