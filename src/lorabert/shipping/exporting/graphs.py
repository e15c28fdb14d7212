"""A plain Transformers classifier as an ONNX graph of any batch size and any length."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lorabert.data.batching import padded_batch
from lorabert.data.encoding import EncodedSplit
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError
from lorabert.models import bases
from lorabert.shipping.tokenizer_files import inputs_of

BATCH, LENGTH = "batch", "length"
ONNX = ("onnx", "onnxscript", "onnxruntime")  # what writing a graph and checking it takes
# A protocol buffer holds at most 2 GiB; a larger graph keeps its weights in a file beside it.
_LARGEST_FILE = 2**31 - 2**24
_SHORTEST = 2  # a text without a word: the two special tokens around it


class _Logits(torch.nn.Module):
    """A classifier as a function from its inputs, by position, to its logits."""

    def __init__(self, model: torch.nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Logits (batch, C) of inputs (batch, length)."""
        return self.model(**dict(zip(self.names, inputs, strict=True))).logits


def write(classifier: Classifier, example: EncodedSplit, path: Path) -> None:
    """Trace a classifier with torch.export and write it as an ONNX file.

    Inputs are (batch, length) int64, the output `logits` is (batch, C) float32; both sizes are free up to the longest text
    that the base can read.

    Args:
        classifier: a plain Transformers classifier.
        example: a few texts to trace with; the graph does not depend on which.
        path: the file; its weights lie beside it in `path.data` where one file cannot hold them.

    Raises:
        InputError: a library is missing, or the architecture cannot be traced.
    """
    require(*ONNX)
    names = inputs_of(classifier)
    batch: dict[str, Any] = padded_batch(example, example.lengths.argsort(), classifier.tokenizer.pad_token_id)
    shape = batch["input_ids"].shape
    tensors = [torch.from_numpy(batch[name]) if name in batch else torch.zeros(shape, dtype=torch.int64) for name in names]
    sizes = {
        0: torch.export.Dim(BATCH, min=1),
        1: torch.export.Dim(LENGTH, min=_SHORTEST, max=bases.longest_input(classifier.model)),
    }
    with _quiet():
        try:
            program: Any = torch.onnx.export(
                _Logits(classifier.model, names).eval(),
                tuple(tensors),
                dynamo=True,
                dynamic_shapes=(tuple(sizes for _ in names),),
                input_names=names,
                output_names=["logits"],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise InputError(
                f"The architecture {classifier.model.config.model_type} cannot be exported to ONNX",
                got=_cause(error),
                fix="Use --format merged",
            ) from error
    _forget_origins(program.model)
    program.save(path, external_data=_bytes(classifier.model) > _LARGEST_FILE)


def require(*libraries: str) -> None:
    """Check that the optional libraries are there.

    Raises:
        InputError: one is missing; the message has the command that installs it.
    """
    from importlib.util import find_spec

    if missing := [name for name in libraries if find_spec(name) is None]:
        raise InputError(f"ONNX needs {' and '.join(missing)}", fix=f"pip install {' '.join(missing)}")


def _forget_origins(model: Any) -> None:
    """Drop what the tracer notes of the source of each node: this machine's paths are nobody's business."""
    model.metadata_props.clear()
    for graph in model.graphs():
        graph.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            value.metadata_props.clear()
        for node in graph:
            node.metadata_props.clear()
            for value in node.outputs:
                value.metadata_props.clear()


def _bytes(model: torch.nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def _cause(error: BaseException) -> str:
    """The first line of what lies at the bottom of a chain of errors."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on optional packages off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), bases.quiet_transformers():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
