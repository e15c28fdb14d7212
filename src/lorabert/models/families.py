"""What each architecture calls its parts: one row a family, keyed by Transformers' model_type."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class HeadStep:
    """One linear layer of a classification head, what goes before it and what after.

    Attributes:
        linear: the layer.
        dropout: the dropout on its input, if any.
        activation: function of torch.nn.functional on its output, if any.
    """

    linear: str
    dropout: str | None = None
    activation: str | None = None


@dataclass(frozen=True)
class Parts:
    """Where a post-norm encoder keeps what its forward computes with, and how its head reads the first token.

    Names in a layer are relative to the layer, names of the head to the classifier; None where a family has no such part.

    Attributes:
        base: the encoder.
        layers: the list of layers in it, or of groups of layers that are used again and again.
        head: the head's linear layers in order.
        query, key, value, attention_dropout: of the self-attention.
        mixed, mixed_dropout, mixed_norm: what follows the attention.
        widened, activation, narrowed, narrowed_dropout, narrowed_norm: the feed-forward part.
        projected: a linear layer between embeddings and layers.
        inner: the list of layers in a group; None where each layer is used once.
        position_past_padding: positions count from pad_token_id + 1, over tokens that are not padding.
    """

    base: str
    layers: str
    head: tuple[HeadStep, ...]
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_dropout: str = "attention.self.dropout"
    mixed: str = "attention.output.dense"
    mixed_dropout: str | None = "attention.output.dropout"
    mixed_norm: str = "attention.output.LayerNorm"
    widened: str = "intermediate.dense"
    activation: str = "intermediate.intermediate_act_fn"
    narrowed: str = "output.dense"
    narrowed_dropout: str | None = "output.dropout"
    narrowed_norm: str = "output.LayerNorm"
    projected: str | None = None
    inner: str | None = None
    position_past_padding: bool = False


@dataclass(frozen=True)
class Family:
    """Names inside one architecture.

    Attributes:
        query_value: ends of the names of the linear layers that make queries and values (LoRA's own choice, Hu et al.
            2021, section 4.2); one fused layer where the architecture has only that.
        head: modules that classify.
        parts: what the packed forward computes with; None where it does not know the architecture.
    """

    query_value: tuple[str, ...]
    head: tuple[str, ...]
    parts: Parts | None = field(default=None)


_BERT = Family(("query", "value"), ("classifier",))
_BERT_PARTS = Parts(
    "bert", "encoder.layer", (HeadStep("bert.pooler.dense", activation="tanh"), HeadStep("classifier", dropout="dropout"))
)


def _dense_head(activation: str) -> tuple[HeadStep, ...]:
    return (
        HeadStep("classifier.dense", dropout="classifier.dropout", activation=activation),
        HeadStep("classifier.out_proj", dropout="classifier.dropout"),
    )


_ROBERTA = Family(
    ("query", "value"),
    ("classifier",),
    Parts("roberta", "encoder.layer", _dense_head("tanh"), position_past_padding=True),
)
_DISTILBERT_PARTS = Parts(
    "distilbert",
    "transformer.layer",
    (HeadStep("pre_classifier", activation="relu"), HeadStep("classifier", dropout="dropout")),
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_dropout="attention.dropout",
    mixed="attention.out_lin",
    mixed_dropout=None,
    mixed_norm="sa_layer_norm",
    widened="ffn.lin1",
    activation="ffn.activation",
    narrowed="ffn.lin2",
    narrowed_dropout="ffn.dropout",
    narrowed_norm="output_layer_norm",
)
_ALBERT_PARTS = Parts(
    "albert",
    "encoder.albert_layer_groups",
    (HeadStep("albert.pooler", activation="tanh"), HeadStep("classifier", dropout="dropout")),
    query="attention.query",
    key="attention.key",
    value="attention.value",
    attention_dropout="attention.attention_dropout",
    mixed="attention.dense",
    mixed_dropout="attention.output_dropout",
    mixed_norm="attention.LayerNorm",
    widened="ffn",
    activation="activation",
    narrowed="ffn_output",
    narrowed_dropout=None,
    narrowed_norm="full_layer_layer_norm",
    projected="encoder.embedding_hidden_mapping_in",
    inner="albert_layers",
)

FAMILIES = {
    "bert": Family(_BERT.query_value, _BERT.head, _BERT_PARTS),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "electra": Family(
        _BERT.query_value,
        _BERT.head,
        Parts("electra", "encoder.layer", _dense_head("gelu"), projected="embeddings_project"),
    ),
    "albert": Family(_BERT.query_value, _BERT.head, _ALBERT_PARTS),
    "distilbert": Family(("q_lin", "v_lin"), ("pre_classifier", "classifier"), _DISTILBERT_PARTS),
    "deberta-v2": Family(("query_proj", "value_proj"), ("pooler", "classifier")),
    "mpnet": Family(("attn.q", "attn.v"), ("classifier",)),
    "modernbert": Family(("attn.Wqkv",), ("head", "classifier")),
}
# They call their layers as BERT and RoBERTa do, but compute in another way; the reference engine trains them.
RELATIVES = dict.fromkeys(("data2vec-text", "ernie", "megatron-bert", "rembert", "roberta-prelayernorm", "xlm-roberta-xl"), _BERT)
