"""Export folders: verified, then run by ONNX Runtime or Transformers behind the interface of a Classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lorabert.config import Device
from lorabert.data.batching import by_length, padded_batch
from lorabert.data.encoding import EncodedSplit
from lorabert.engine.prediction import FP32_CPU, Classifier
from lorabert.errors import InputError, MismatchError
from lorabert.hardware import Placement
from lorabert.models import bases
from lorabert.models.bases import Base
from lorabert.shipping import fingerprints, manifests
from lorabert.shipping.exporting import outside
from lorabert.shipping.exporting.graphs import require
from lorabert.shipping.exporting.parity import TOLERANCES

ONNX_FILE = "model.onnx"
_RESTORE = "Take the folder from its source again, or export the adapter anew"


class OnnxClassifier(Classifier):
    """A classifier that ONNX Runtime computes, on the CPU; `model` is its session."""

    device: Device = "cpu"

    def logits_of(self, split: EncodedSplit, *, batch_size: int, placement: Placement = FP32_CPU) -> np.ndarray:
        """Logits of tokenised texts, (n, C) float32, in the split's order: rows of like length in one padded batch.

        Raises:
            InputError: a precision other than the graph's own is asked for, or the graph cannot compute the texts.
        """
        if placement.precision != "fp32":
            raise InputError("An ONNX export computes in the precision of its graph", got=f"--precision {placement.precision}",
                             fix="Leave --precision out")  # fmt: skip
        wanted = [declared.name for declared in self.model.get_inputs()]
        results = np.empty((len(split), len(self.label_names)), np.float32)
        for rows in by_length(split.lengths, batch_size):
            batch = padded_batch(split, rows, self.tokenizer.pad_token_id)
            nothing = np.zeros_like(batch["input_ids"])  # token types of texts that are no pairs
            found = self._computed({name: batch.get(name, nothing) for name in wanted})
            if found.shape != results[rows].shape:
                raise InputError("The export's graph is not of its manifest's labels", got=f"answers of the shape {found.shape}",
                                 expected=f"{results[rows].shape}", fix=_RESTORE)  # fmt: skip
            results[rows] = found
        return results

    def _computed(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        try:
            found: np.ndarray = self.model.run(["logits"], inputs)[0]
        except Exception as error:  # of half a dozen kinds, all of ONNX Runtime's own
            raise InputError(
                "The export's graph cannot compute these texts",
                got=str(error).splitlines()[0][:300],
                expected="a graph that `lorabert export` made, and a max_length that it can read",
                fix=_RESTORE,
            ) from None
        return found

    def plain_logits(self, split: EncodedSplit, *, batch_size: int) -> np.ndarray:
        """The same: the graph has one forward."""
        return self.logits_of(split, batch_size=batch_size)


def opened(folder: Path, format_name: str, label_names: list[str], max_length: int) -> Classifier:
    """The classifier in an export folder, nothing verified.

    Raises:
        InputError: ONNX Runtime is missing or cannot read the graph, or the tokenizer is another model's.
    """
    tokenizer = bases.load_tokenizer(folder)
    if format_name == "merged":
        loaded = bases.load(Base(str(folder), folder, None, ""), label_names)
        if loaded.new_tensors:
            raise InputError(f"The export {folder} lacks weights", got=f"no {', '.join(loaded.new_tensors)}", fix=_RESTORE)
        bases.check_fit(tokenizer, loaded.model, max_length, pairs=False)
        return Classifier(loaded.model.eval(), tokenizer, label_names, max_length)
    return OnnxClassifier(_session(folder / ONNX_FILE), tokenizer, label_names, max_length)


def _session(path: Path) -> Any:
    require("onnxruntime")
    outside.check(path)
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # one setting for both, OMP_NUM_THREADS among them
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of half a dozen kinds, all of ONNX Runtime's own
        raise InputError(f"ONNX Runtime {onnxruntime.__version__} cannot read {path}", got=str(error).splitlines()[0]) from None


def load(folder: Path) -> tuple[Classifier, dict[str, Any]]:
    """Verify an export and check that it still gives the recorded answers.

    Returns:
        The classifier and the manifest, with `fingerprint.largest_difference` from the recorded logits (0.0 is bit-identical).

    Raises:
        InputError: the folder is no export, or a library is missing.
        MismatchError: a file or the answers differ; every mismatch is named.
    """
    manifest = manifests.manifest_of(folder, (manifests.EXPORT,))
    if problems := manifests.differences(folder, manifest):
        raise MismatchError(f"The export {folder}", problems, fix=_RESTORE)
    format_name = manifest["format"]
    if format_name not in TOLERANCES:
        raise InputError(f"The export {folder} has a format that is not known here", got=f"'{format_name}'",
                         expected=", ".join(TOLERANCES), fix="Update lorabert")  # fmt: skip
    classifier = opened(folder, format_name, manifest["labels"], manifest["max_length"])
    difference, problems = fingerprints.compared(classifier, manifest["fingerprint"], TOLERANCES[format_name].fingerprint)
    if problems:
        raise MismatchError(f"The export {folder}", problems, fix=_RESTORE)
    manifest["fingerprint"]["largest_difference"] = difference
    return classifier, manifest
