"""What each architecture calls its parts: one row a family, keyed by Transformers' model_type."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Names inside one architecture.

    Attributes:
        query_value: ends of the names of the linear layers that make queries and values (LoRA's own choice, Hu et al.
            2021, section 4.2); one fused layer where the architecture has only that.
        head: modules that classify.
    """

    query_value: tuple[str, ...]
    head: tuple[str, ...]


_BERT = Family(("query", "value"), ("classifier",))

FAMILIES = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "albert": _BERT,
    "distilbert": Family(("q_lin", "v_lin"), ("pre_classifier", "classifier")),
    "deberta-v2": Family(("query_proj", "value_proj"), ("pooler", "classifier")),
    "mpnet": Family(("attn.q", "attn.v"), ("classifier",)),
    "modernbert": Family(("attn.Wqkv",), ("head", "classifier")),
}
