"""The padding-free forward: one stream of tokens in, logits out, through the live model's own parameters."""

from lorabert.engine.packed.forward import DTYPES, PackedBase, PackedClassifier, logits
from lorabert.engine.packed.inputs import Inputs
from lorabert.engine.packed.masks import Bits
from lorabert.engine.packed.prefix import Prefix, entering, fixed_layers
from lorabert.engine.packed.reading import Adapter, LowRank, adapter_in

__all__ = [
    "DTYPES", "Adapter", "Bits", "Inputs", "LowRank", "PackedBase", "PackedClassifier", "Prefix", "adapter_in", "entering",
    "fixed_layers", "logits",
]  # fmt: skip
