"""`lorabert serve`: one server for many classifiers."""

from __future__ import annotations

import logging
import sys
from typing import Any

from lorabert.cli.output import BASE, JSON, Output, output
from lorabert.config import options_parser, parse
from lorabert.errors import InputError
from lorabert.shipping.serving.settings import Settings

_DESCRIPTION = """Serve adapters over HTTP: one base in memory, different adapters in one forward.

  lorabert serve store                          every version in a store, read when asked for
  lorabert serve runs/reviews emotion=runs/e    adapters by name

POST /classify {"model": "emotion@1", "input": ["a text"]} answers; GET / is a page to try it. SIGTERM and Ctrl-C finish what
was accepted."""


def main(argv: list[str]) -> None:
    """Serve until a signal comes."""
    parser = options_parser("lorabert serve", _DESCRIPTION)
    parser.add_argument("targets", nargs="*", default=[], metavar="STORE|ADAPTER",
                        help="Stores, adapter or run folders, and NAME=FOLDER; all of one base.")  # fmt: skip
    parser.add_argument("--base", type=str, default=None, help=BASE)
    parser.add_class_arguments(Settings, None)
    parser.add_argument("--json", action="store_true", help=f"{JSON} It names the address, once the server listens.")
    arguments = parse(parser, argv)
    values = vars(arguments)
    settings = Settings(**{name: values[name] for name in Settings.__dataclass_fields__}).resolved()
    if not arguments.targets:
        raise InputError("Nothing to serve", expected="stores, or adapter or run folders", fix="See `lorabert serve --help`")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    with output(as_json=arguments.json) as out:
        _serve(arguments, settings, out)


def _serve(arguments: Any, settings: Settings, out: Output) -> None:
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(f"Serving needs {error.name}, which is not installed", fix='pip install "lorabert[serve]"') from None

    def announce(service: Any, base: Any, address: str) -> None:
        _announce(service, base.name, address, settings, out)

    if settings.launcher == "ray":
        from lorabert.shipping.serving import cluster

        cluster.run(arguments.targets, arguments.base, settings, announce)
        return
    from lorabert.shipping.serving import server, starting

    listening = server.listen(settings)
    with listening:
        service, base = starting.started(arguments.targets, arguments.base, settings)
        server.run(service, listening, lambda: announce(service, base, server.address_of(listening)))


def _announce(service: Any, base: str, address: str, settings: Settings, out: Output) -> None:
    served = [place.id for place in service.registry.catalogue.listed()]
    out.say(f"Serving {len(served)} adapter{'' if len(served) == 1 else 's'} on {base}: {_shown(served)}")
    out.say(f"Listening on {address} (a page to try it; Ctrl-C finishes what was accepted)")
    if not settings.loopback and settings.token is None:
        out.say("Anyone who can reach this address can use it: set LORABERT_TOKEN to ask for a token")
    out.result({"address": address, "models": served, "base": base})


def _shown(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
