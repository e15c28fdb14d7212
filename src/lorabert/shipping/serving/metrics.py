"""What the server counts, in a registry of its own, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384)
UNKNOWN = "unknown"


class Metrics:
    """The counters. `model` is the identity of an adapter that is served, or `unknown`: a client cannot invent a series."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "lorabert_requests", "Requests to /classify, by adapter and status code", ["model", "code"], registry=registry
        )
        self.request_seconds = Histogram(
            "lorabert_request_seconds", "Seconds from request to answer of /classify", buckets=_SECONDS, registry=registry
        )
        self.texts = Counter("lorabert_texts", "Texts answered, by adapter", ["model"], registry=registry)
        self.tokens = Counter("lorabert_tokens", "Tokens of the texts answered, by adapter", ["model"], registry=registry)
        self.unknown = Counter(
            "lorabert_unknown_tokens", "Tokens that the base's vocabulary does not know, by adapter", ["model"], registry=registry
        )
        self.unfamiliar = Counter(
            "lorabert_unfamiliar_texts", "Texts with a share of unknown tokens far above training's, by adapter", ["model"],
            registry=registry,
        )  # fmt: skip
        self.queue_texts = Gauge("lorabert_queue_texts", "Texts accepted and not answered", registry=registry)
        self.batch_tokens = Histogram("lorabert_batch_tokens", "Tokens in a forward", buckets=_TOKENS, registry=registry)
        self.batch_adapters = Histogram(
            "lorabert_batch_adapters", "Different adapters in a forward", buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry
        )
        self.forward_seconds = Histogram("lorabert_forward_seconds", "Seconds of a forward", buckets=_SECONDS, registry=registry)
        self.dropped = Counter(
            "lorabert_dropped", "Pieces of requests dropped before a forward: the client left or the time was up",
            registry=registry,
        )  # fmt: skip
        self.adapters_loaded = Gauge("lorabert_adapters_loaded", "Adapters in memory", registry=registry)
        self.adapter_bytes = Gauge("lorabert_adapter_bytes", "Bytes of the adapters in memory", registry=registry)
        self.loads = Counter("lorabert_adapter_loads", "Adapters read from disk", registry=registry)
        self.evictions = Counter("lorabert_adapter_evictions", "Adapters dropped to make room", registry=registry)

    def page(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self.registry)
