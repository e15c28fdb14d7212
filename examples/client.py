"""A client of `lorabert serve` with nothing but Python: batches, retries, and the token from the environment.

    python examples/client.py http://127.0.0.1:8000 emotion "i feel wonderful today" "leave me alone"

One JSON line a text. Copy the class into your own code.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

RETRIED = (429, 503)  # the server is full, overloaded or restarting: the same request may pass later


class Refused(Exception):
    """The server's problem document: what was wrong with the request."""


class Client:
    """Labels texts with the adapters of a server.

    Args:
        address: such as http://127.0.0.1:8000.
        token: the server's, if it asks for one.
        batch: texts in a request; not more than the server's max_texts.
        tries: how often a request is sent before giving up.
        timeout: seconds to wait for an answer; a little more than the server's timeout_seconds.
    """

    def __init__(self, address: str, token: str | None = None, *, batch: int = 64, tries: int = 6, timeout: float = 35.0) -> None:
        self.address, self.token, self.batch, self.tries, self.timeout = address.rstrip("/"), token, batch, tries, timeout

    def classify(self, model: str, texts: Sequence[str] | Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
        """One answer a text (or pair of texts), in order: `label`, `score`, and `scores` of every label."""
        for start in range(0, len(texts), self.batch):
            answer = self._post("/classify", {"model": model, "input": list(texts[start : start + self.batch])})
            for row in answer["data"]:
                scores = dict(zip(answer["labels"], row["probs"], strict=True))
                yield {"label": row["label"], "score": scores[row["label"]], "scores": scores}

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), headers)
        for attempt in range(1, self.tries + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    answer: dict[str, Any] = json.load(response)
                    return answer
            except urllib.error.HTTPError as error:
                if error.code not in RETRIED or attempt == self.tries:
                    raise Refused(_detail(error)) from None
                wait = float(error.headers.get("Retry-After") or 1)
            except OSError:  # refused, reset or timed out
                if attempt == self.tries:
                    raise
                wait = 0.25 * 2**attempt
            # Not all clients at the same moment again.
            time.sleep(wait * random.uniform(0.75, 1.5))
        raise AssertionError("the last try returns or raises")


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError):
        return f"{error.code} {error.reason}"


def main(argv: list[str]) -> int:
    """Label the texts of the command line."""
    if len(argv) < 3:
        print(__doc__)
        return 2
    address, model, *texts = argv
    try:
        for answer in Client(address, os.environ.get("LORABERT_TOKEN")).classify(model, texts):
            print(json.dumps(answer, ensure_ascii=False))
    except (Refused, OSError) as error:
        print(f"{address}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
