"""lorabert: one frozen BERT-family encoder, any number of LoRA text classifiers on it."""

__version__ = "0.1.0"
