"""The model card: the README.md that an adapter carries, made from its run's record."""

from __future__ import annotations

from typing import Any

from lorabert.studies.reporting.lines import percent


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
lorabert predict THIS_FOLDER {"--file FILE" if data["columns"]["text_pair"] else '"a text"'}
```

Plain PEFT gives the same logits on the same base (`{base["name"]}`, revision {base["revision"]}, weights sha256
`{base["sha256"]}`): `PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(BASE,
num_labels={len(data["labels"])}), THIS_FOLDER)`. Texts are cut at {record["config"]["model"]["max_length"]} tokens.

## Limits

The figures hold for texts like those of the test split. Nothing was measured about fairness, other domains or attacks.
"""
