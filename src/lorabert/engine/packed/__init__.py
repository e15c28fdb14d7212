"""The padding-free forward: one stream of tokens in, logits out, through the live model's own parameters."""

from lorabert.engine.packed.forward import PackedClassifier, logits

__all__ = ["PackedClassifier", "logits"]
