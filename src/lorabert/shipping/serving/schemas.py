"""What requests and answers look like; /openapi.json is made from these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lorabert.shipping.serving.names import LONGEST, normal

NormalName = Annotated[str, AfterValidator(normal)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST, examples=["emotion@1"]), AfterValidator(normal)]
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]
# The first wrong item is enough: a report of every wrong item among a million takes far more memory than the request.
Texts = Annotated[list[str], Field(min_length=1, fail_fast=True)]
Pairs = Annotated[list[Pair], Field(min_length=1, fail_fast=True)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClassifyRequest(_Request):
    """Texts to label with one adapter."""

    model: Name | None = Field(
        None, description="The adapter: `emotion` for its newest version, or `emotion@1`. Not needed where one name is served."
    )
    input: str | Texts | Pairs = Field(
        description="A text, a list of texts, or, for an adapter of pairs, a list of pairs.", examples=["i feel wonderful today"]
    )


class Classification(BaseModel):
    """One text's answer."""

    index: int = Field(description="The text's place in the request.")
    label: str | None = Field(description="The most probable label; null where the server abstains (`--abstain-below`).")
    abstained: bool = Field(description="Whether no label is probable enough for the server to give it.")
    probs: list[float] = Field(description="The probability of each label, in the order of `labels`.")
    num_classes: int


class Usage(BaseModel):
    """What the request took."""

    prompt_tokens: int = Field(description="Tokens that were read.")
    total_tokens: int
    completion_tokens: int = 0
    truncated_texts: int = Field(description="Texts that were longer than the adapter reads, and were cut at the end.")


class ClassifyResponse(BaseModel):
    """The answers, in the order of the texts."""

    id: str
    object: Literal["list"] = "list"
    created: int = Field(description="Seconds since 1970.")
    model: str = Field(description="The adapter that answered, with its version.")
    labels: list[str] = Field(description="The adapter's labels, in the order of `probs`.")
    data: list[Classification]
    usage: Usage


class Model(BaseModel):
    """An adapter that can be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since 1970.")
    owned_by: Literal["lorabert"] = "lorabert"
    loaded: bool = Field(description="Whether it is in memory; if not, it is read when asked for.")


class ModelDetails(Model):
    """An adapter, and what its folder says of it."""

    labels: list[str]
    max_length: int = Field(description="Longest text in tokens; longer ones are cut at the end.")
    pairs: bool = Field(description="Whether it labels pairs of texts.")


class ModelList(BaseModel):
    """The adapters that can be asked for."""

    object: Literal["list"] = "list"
    data: list[Model]


class LoadRequest(_Request):
    """An adapter to put into service."""

    model: Name = Field(description="A reference into the server's stores; with `folder`, the name to serve it by.")
    folder: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        None, description="An adapter folder on the server's machine; only where it runs with --allow_folders."
    )


class Status(BaseModel):
    """How the server is."""

    status: Literal["ok"] = "ok"


class FieldProblem(BaseModel):
    """One place in a request that is wrong."""

    where: str
    problem: str


class ProblemDetails(BaseModel):
    """What went wrong (RFC 9457)."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None
