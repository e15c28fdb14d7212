"""Transformers and PEFT with the settings of PEFT's own sequence classification tutorial. BASE names the base's folder.

LoRA r = 8, alpha = 16, dropout 0.1 on PEFT's default layers, AdamW at 3e-4, 20 epochs of 32, 6% warm-up, linear decay.
"""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from exchange import answer
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

EPOCHS, BATCH = 20, 32


def rival(texts: list[str], labels: list[int], classes: int, asked: list[str]) -> Any:
    """128 tokens."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(os.environ["BASE"], trust_remote_code=False)
    base = AutoModelForSequenceClassification.from_pretrained(os.environ["BASE"], num_labels=classes, trust_remote_code=False)
    model = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.1))
    steps = EPOCHS * math.ceil(len(texts) / BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    schedule = get_linear_schedule_with_warmup(optimizer, round(0.06 * steps), steps)

    def read(some: list[str]) -> Any:
        return tokenizer(some, padding=True, truncation=True, max_length=128, return_tensors="pt")

    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(texts)).tolist()
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            loss = model(**read([texts[row] for row in rows]), labels=torch.tensor([labels[row] for row in rows])).loss
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()
    with torch.inference_mode():
        parts = [model(**read(asked[start : start + 32])).logits.softmax(-1) for start in range(0, len(asked), 32)]
    return torch.cat(parts).tolist()


if __name__ == "__main__":
    answer(rival)
