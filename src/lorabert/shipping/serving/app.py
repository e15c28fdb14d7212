"""The HTTP interface: routes, their documents, and the page to try it."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from lorabert import __version__
from lorabert.shipping.serving import problems
from lorabert.shipping.serving.catalogue import Place
from lorabert.shipping.serving.gate import Gate
from lorabert.shipping.serving.loading import labels_of, labels_pairs
from lorabert.shipping.serving.problems import Problem
from lorabert.shipping.serving.schemas import (
    Classification,
    ClassifyRequest,
    ClassifyResponse,
    LoadRequest,
    Model,
    ModelDetails,
    ModelList,
    NormalName,
    Status,
    Usage,
)
from lorabert.shipping.serving.service import Service
from lorabert.shipping.serving.strict import StrictRoute

_PAGE = Path(__file__).parent / "page"
_PAGE_FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(_service)]
_EVERYWHERE: dict[int | str, dict[str, Any]] = {
    status: {"description": why, "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}}
    for status, why in {
        400: "Not JSON",
        401: "The token is missing or wrong",
        403: "Not allowed without a token, or from the page of another site",
        404: "No such adapter",
        408: "The request came too slowly",
        409: "The adapter is damaged or belongs to another base, or its name is taken",
        413: "The request is too large",
        415: "The body is compressed",
        421: "The server does not go by this Host",
        422: "The request does not have this form, or asks for what the adapter does not do",
        429: "The queue is full; Retry-After says when to come back",
        503: "The server is stopping or overloaded, or the time was up",
    }.items()
}
api = APIRouter(responses=_EVERYWHERE, dependencies=[Security(HTTPBearer(auto_error=False))], route_class=StrictRoute)
probes = APIRouter()


@api.post("/classify", summary="Label texts", response_model=ClassifyResponse)
async def classify(body: ClassifyRequest, request: Request, service: TheService) -> ClassifyResponse:
    """Label one text or several with one adapter: the probability of every label, texts in the order they were given."""
    access = request.scope["access"]
    texts, pairs = _texts(body, service)
    access.n = len(texts)
    client = request.client.host if request.client else "-"
    answers = await service.classify(access, client, body.model, texts, pairs)
    labels = answers.served.labels
    least = service.settings.abstain_below or 0.0
    best = [None if row.max() < least else labels[row.argmax()] for row in answers.probabilities]
    return ClassifyResponse(
        id=f"classify-{secrets.token_hex(16)}",
        created=int(time.time()),
        model=answers.served.id,
        labels=labels,
        data=[
            Classification(index=index, label=label, abstained=label is None, probs=probs, num_classes=len(labels))
            for index, (label, probs) in enumerate(zip(best, answers.probabilities.tolist(), strict=True))
        ],
        usage=Usage(prompt_tokens=answers.tokens, total_tokens=answers.tokens, truncated_texts=answers.truncated),
    )


def _texts(body: ClassifyRequest, service: Service) -> tuple[list[str], list[str] | None]:
    """The request's texts and second texts, within the limits.

    Raises:
        Problem: 413 too many texts, or one that is too long; 422 half of a surrogate pair, which is no text.
    """
    given = [body.input] if isinstance(body.input, str) else body.input
    settings = service.settings
    if len(given) > settings.max_texts:
        raise Problem(413, f"A request may have {settings.max_texts} texts, and this one has {len(given)}")
    texts = [text for text in given if isinstance(text, str)]
    pairs = [pair for pair in given if not isinstance(pair, str)]
    parts = texts or [part for pair in pairs for part in pair]
    if (longest := max(map(len, parts))) > settings.max_characters:
        raise Problem(413, f"A text may have {settings.max_characters} characters, and one has {longest}")
    try:
        "".join(parts).encode()
    except UnicodeEncodeError:
        raise Problem(422, "A text holds half of a surrogate pair, which no character is") from None
    return (texts, None) if texts else ([first for first, _ in pairs], [second for _, second in pairs])


@api.get("/v1/models", summary="The adapters that can be asked for", response_model=ModelList)
async def models(service: TheService) -> ModelList:
    """Every adapter in service, in memory or not."""
    places = await service.registry.disk(service.registry.catalogue.listed)
    return ModelList(data=[_model(service, place) for place in places])


@api.get("/v1/models/{name:path}", summary="One adapter and its labels", response_model=ModelDetails)
async def details(name: NormalName, service: TheService) -> ModelDetails:
    """What an adapter's folder says of it; nothing is loaded."""
    place, manifest = await service.described(name)
    return ModelDetails(
        **_model(service, place).model_dump(),
        labels=labels_of(manifest),
        max_length=manifest["max_length"],
        pairs=labels_pairs(manifest),
    )


@api.post("/v1/models", summary="Load an adapter", response_model=Model, status_code=201, responses={200: {"model": Model}})
async def load(body: LoadRequest, response: Response, service: TheService) -> Model:
    """Put an adapter into service and into memory, once it has given the answers recorded with it. 200: it was there."""
    if body.folder is not None and not service.settings.allow_folders:
        raise Problem(403, "Folders are not loaded by request unless the server runs with --allow_folders")
    place, new = await service.load(body.model, Path(body.folder) if body.folder is not None else None)
    response.status_code = 201 if new else 200
    return _model(service, place)


@api.delete("/v1/models/{name:path}", summary="Unload an adapter", status_code=204)
async def unload(name: NormalName, service: TheService) -> Response:
    """Take an adapter out of service. What was accepted for it is answered; after that it is unknown until loaded again."""
    await service.unload(name)
    return Response(status_code=204)


def _model(service: Service, place: Place) -> Model:
    return Model(id=place.id, created=place.created, loaded=service.registry.loaded(place.id))


@api.get("/metrics", summary="Counters for Prometheus", response_class=Response,
         responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})  # fmt: skip
async def metrics(service: TheService) -> Response:
    """Requests, latencies, queue, batches, adapters, evictions."""
    return Response(service.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


_NOT: dict[int | str, dict[str, Any]] = {503: {"description": "It is not", "content": _EVERYWHERE[503]["content"]}}


@probes.get("/health", summary="Is the process well?", response_model=Status, responses=_NOT)
async def health(service: TheService) -> Status:
    """503 when the model's thread has died, and only a restart helps."""
    if not service.scheduler.alive:
        raise Problem(503, "The model's thread has stopped")
    return Status()


@probes.get("/ready", summary="Does it take requests?", response_model=Status, responses=_NOT)
async def ready(service: TheService) -> Status:
    """503 while it is stopping."""
    if service.traffic.draining or not service.scheduler.alive:
        raise Problem(503, "The server is stopping")
    return Status()


@probes.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page to try it."""
    return FileResponse(_PAGE / "index.html", media_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)


@probes.get("/page/{name}", include_in_schema=False)
async def page_file(name: str) -> FileResponse:
    """What the page is made of: these files and no others."""
    if name not in _PAGE_FILES:
        raise Problem(404, "There is no such file")
    return FileResponse(_PAGE / name, media_type=_PAGE_FILES[name], headers=_PAGE_HEADERS)


def build(service: Service) -> FastAPI:
    """The application of a service; when it shuts down, what is queued is computed and the service closed."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(service.close)

    app = FastAPI(
        title="lorabert",
        version=__version__,
        summary="Text classifiers: one base, many adapters.",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    app.include_router(api)
    app.include_router(probes)
    problems.install(app)
    app.add_middleware(Gate, service=service)
    return app
