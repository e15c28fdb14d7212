"""The README.md of an export: what it is, how far its answers are from the adapter's, how to use it."""

from __future__ import annotations

from typing import Any

_USE_MERGED = """from transformers import pipeline

classify = pipeline("text-classification", model="THIS_FOLDER", truncation=True, max_length={max_length})
print(classify({example}))"""

_USE_ONNX = """import json, numpy, onnxruntime, transformers

session = onnxruntime.InferenceSession("THIS_FOLDER/model.onnx")
encode = transformers.AutoTokenizer.from_pretrained("THIS_FOLDER")
batch = encode({example}, truncation=True, max_length={max_length}, padding=True, return_tensors="np")
logits = session.run(["logits"], {{name: batch[name] for name in {inputs}}})[0]
labels = json.load(open("THIS_FOLDER/config.json", encoding="utf-8"))["id2label"]
print([labels[str(best)] for best in logits.argmax(1)])"""

_WHAT = {
    "merged": "a plain Transformers model: the LoRA weights are added into the base's, and nothing of PEFT is needed",
    "onnx": "an ONNX graph in fp32, for batches of any size and any length",
    "onnx-int8": "an ONNX graph with the encoder's matrices in 8 bits, a scale for every 32 inputs of each output channel, "
    "and the embeddings and the head in fp32, for ONNX Runtime 1.22 or newer",
}


def card(facts: dict[str, Any], document: dict[str, Any], inputs: list[str]) -> str:
    """Markdown below the hub's YAML header.

    Args:
        facts: the export's manifest.
        document: what parity.json holds.
        inputs: what an ONNX graph takes.
    """
    from huggingface_hub import ModelCardData

    merged = facts["format"] == "merged"
    origin = facts.get("data", {}).get("origin", "a text classifier")
    header = ModelCardData(
        base_model=facts["base"]["name"],
        library_name="transformers" if merged else "onnx",
        pipeline_tag="text-classification",
        tags=["lorabert", facts["format"]],
    )
    labels = "\n".join(f"{index}. `{name}`" for index, name in enumerate(facts["labels"]))
    return f"""---
{header.to_yaml()}
---

# {origin}: a classifier exported as {facts["format"]}

This is {_WHAT[facts["format"]]}. It was made from a lorabert adapter (weights sha256 `{facts["adapter"]["weights_sha256"]}`)
on `{facts["base"]["name"]}`, revision {facts["base"]["revision"]}.
{_drift(document)}
## Compared with the adapter

{parity_lines(document)}

The figures are in `parity.json`.

## Use

```
lorabert predict THIS_FOLDER {"--file FILE" if _pairs(facts) else '"a text"'}
```

verifies every file and the answers first. Without lorabert:

```python
{_code(facts, inputs)}
```

Texts are cut at {facts["max_length"]} tokens, as in training.

## Labels

{labels}
"""


def _drift(document: dict[str, Any]) -> str:
    if document["within_tolerance"]:
        return ""
    return f"\n**DRIFT: its answers are beyond the tolerance, and it was kept all the same:** {'; '.join(document['beyond'])}.\n"


def parity_lines(document: dict[str, Any]) -> str:
    """The figures of parity.json for people."""
    texts, logits, agreement, validation = (document[key] for key in ("texts", "logits", "agreement", "validation"))
    asked = f"{agreement['n']:,} texts of {texts['shortest_tokens']} to {texts['longest_tokens']} tokens"
    lines = [
        f"- {asked}: {_points(agreement)}% keep their label",
        f"- logits differ by at most {logits['relative_max_difference']:.2g} of the largest "
        f"({logits['relative_mean_difference']:.2g} on average)",
    ]
    if "missing" in validation:
        return "\n".join([*lines, f"- accuracy was not compared: {validation['missing']}"])
    ours, theirs = (_points(validation[side]["accuracy"]) for side in ("adapter", "export"))
    return "\n".join(
        [
            *lines,
            f"- accuracy on {validation['n']:,} validation examples: adapter {ours}, export {theirs}, "
            f"difference {_points(validation['accuracy_difference'], '+.2f')} points",
        ]
    )


def _points(estimate: dict[str, Any], form: str = ".2f") -> str:
    """A share as points with its interval: 99.52 [98.60, 99.84]."""
    return f"{100 * estimate['value']:{form}} [{100 * estimate['low']:{form}}, {100 * estimate['high']:{form}}]"


def _pairs(facts: dict[str, Any]) -> bool:
    return facts.get("data", {}).get("columns", {}).get("text_pair") is not None


def _code(facts: dict[str, Any], inputs: list[str]) -> str:
    pairs, merged = _pairs(facts), facts["format"] == "merged"
    example = '{"text": "a text", "text_pair": "its second text"}' if pairs else '["a text", "another"]'
    if pairs and not merged:
        example = '["a text"], ["its second text"]'
    return (_USE_MERGED if merged else _USE_ONNX).format(max_length=facts["max_length"], example=example, inputs=inputs)
