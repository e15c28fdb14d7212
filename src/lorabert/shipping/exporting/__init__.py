"""Exports: an adapter as one plain model, each checked against the adapter before it is called done.

export/                       moved to its place when it is whole: a kill leaves nothing there
    model.safetensors         merged; or model.onnx of the formats onnx and onnx-int8
    config.json, tokenizer    what Transformers reads, with the labels
    parity.json               how far its answers are from the adapter's
    README.md                 the card: what it is, those figures, how to use it
    lorabert.json             the manifest, as an adapter has one
"""

from lorabert.shipping.exporting.writing import FORMATS, export

__all__ = ["FORMATS", "export"]
