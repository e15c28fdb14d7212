"""Errors as JSON problem details (RFC 9457): one shape for whatever goes wrong, texts never repeated in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A request cannot be answered.

    Args:
        status: the HTTP status.
        detail: what is wrong and what to do, for people.
        headers: further headers of the answer.
        errors: where in the request something is wrong, and what.
    """

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None,
                 errors: list[dict[str, str]] | None = None) -> None:  # fmt: skip
        super().__init__(detail)
        self.status, self.detail, self.headers, self.errors = status, detail, dict(headers or {}), errors

    def response(self) -> Response:
        """The answer."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors is not None:
            document["errors"] = self.errors
        # ASCII: a name with half of a surrogate pair has no UTF-8.
        return Response(json.dumps(document), self.status, self.headers, MEDIA_TYPE)


def too_large(most: int) -> Problem:
    """The body has more than so many bytes; the rest of it is not wanted."""
    return Problem(413, f"The request has more than {most} bytes", headers={"Connection": "close"})


def busy(status: int, detail: str, seconds: int = 1) -> Problem:
    """A refusal that passes by itself: the client may try again after some seconds."""
    return Problem(status, detail, headers={"Retry-After": str(seconds)})


_DETAILS = {
    400: "The body is not JSON",
    404: "There is nothing here; /openapi.json describes what there is",
    405: "This path does not take this method; the header Allow names those it takes",
}


def install(app: FastAPI) -> None:
    """Answer every error of an app with problem details."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if "GET" in headers.get("Allow", ""):
            headers["Allow"] += ", HEAD"
        return Problem(error.status_code, _DETAILS.get(error.status_code, str(error.detail)), headers=headers).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            return Problem(422, "The request must be JSON, sent with `Content-Type: application/json`").response()
        # Only place and rule: pydantic's own report repeats the input, which may be anybody's mail.
        errors = [{"where": ".".join(map(str, each["loc"])), "problem": str(each["msg"])} for each in error.errors()[:20]]
        return Problem(422, "The request does not have the form that /openapi.json describes", errors=errors).response()
