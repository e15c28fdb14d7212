"""JSON as its standard has it: what Python's parser lets through beyond that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.exceptions import HTTPException
from fastapi.routing import APIRoute


class _StrictRequest(Request):
    async def json(self) -> Any:
        return json.loads(await self.body(), object_pairs_hook=_unique, parse_constant=_refuse)


class StrictRoute(APIRoute):
    """A route whose JSON has no key twice, of which one would win unseen, and neither NaN nor Infinity."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, given a request that reads JSON so."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise HTTPException(422, "A key stands twice in one object")
    return found


def _refuse(constant: str) -> NoReturn:
    raise HTTPException(422, f"{constant} is no number in JSON")
