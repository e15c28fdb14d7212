"""SetFit as its documentation begins: a contrastive stage of one epoch on pairs, then logistic regression.

BASE names the base's folder.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from datasets import Dataset
from exchange import answer
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from setfit import SetFitModel, Trainer, TrainingArguments


def rival(texts: list[str], labels: list[int], _: int, asked: list[str]) -> Any:
    """Every setting SetFit's own; mean pooling and 256 tokens are the base's."""
    with tempfile.TemporaryDirectory() as place:
        words = Transformer(os.environ["BASE"], max_seq_length=256)
        SentenceTransformer(modules=[words, Pooling(words.get_word_embedding_dimension(), "mean")]).save(place)
        model = SetFitModel.from_pretrained(place)
        arguments = TrainingArguments(output_dir=str(Path(place) / "out"), report_to="none")
        trainer = Trainer(model=model, args=arguments, train_dataset=Dataset.from_dict({"text": texts, "label": labels}))
        trainer.train()
        return model.predict_proba(asked, as_numpy=True)


if __name__ == "__main__":
    answer(rival)
