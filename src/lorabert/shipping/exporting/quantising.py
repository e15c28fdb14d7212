"""An ONNX graph with the encoder's matrices in 8 bits; the head is left alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from lorabert.shipping.exporting.graphs import BATCH, ONNX, require

_PRODUCTS = ("MatMul", "Gemm")
_INT8 = 4  # MatMulNBits' accuracy_level: multiply in int8 where the processor can
BLOCK = 32


def write(source: Path, target: Path) -> None:
    """Quantise the matrix products of an encoder.

    A weight becomes w = scale[channel, block] * q with q in -127..127: a scale for every 32 inputs of each output channel.
    At run time an activation is quantised the same way, a scale for every 32 features of each token. So an outlier costs
    its 31 neighbours their precision and nobody else, and a text's answer does not depend on what shares its batch. One
    scale a tensor, as ONNX Runtime's dynamic quantisation takes, changed ten times as many labels (docs/LOG.md).

    Args:
        source: the fp32 graph.
        target: the file to write; its weights lie beside it where one file cannot hold them.
    """
    require(*ONNX)
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    model = onnx.load(source)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # a line a node
    try:
        quantizer = MatMulNBitsQuantizer(
            model, bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=_INT8, nodes_to_exclude=head_nodes(model)
        )
        quantizer.process()
    finally:
        logging.disable(before)
    quantised = quantizer.model.model
    _drop_doubles(quantised)
    onnx.save(quantised, target, save_as_external_data=_has_data(source), location=f"{target.name}.data")


def _drop_doubles(model: Any) -> None:
    """Keep one copy of each quantised matrix: where layers share one, the quantiser adds it once a use."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors.values())


def _has_data(source: Path) -> bool:
    return source.with_name(f"{source.name}.data").exists()


def head_nodes(model: Any) -> list[str]:
    """Names of the head's matrix products: those with a fixed matrix that give one vector a text, not one a token.

    A classification head begins where the sequence has become one vector; shapes tell where, whatever the parts are called.
    """
    graph = model.graph
    fixed = {tensor.name for tensor in graph.initializer}
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    products = [node for node in graph.node if node.op_type in _PRODUCTS and fixed.intersection(node.input)]
    return [node.name for node in products if _one_a_text(shapes[node.output[0]])]


def _one_a_text(shape: list[str | int]) -> bool:
    return len(shape) == 2 and shape[0] == BATCH
