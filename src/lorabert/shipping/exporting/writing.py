"""From an adapter folder to an export folder."""

from __future__ import annotations

import importlib.metadata
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError, MismatchError
from lorabert.files import disk_errors, sha256_of, write_atomically
from lorabert.folders import whole_folder
from lorabert.hardware import package_versions
from lorabert.models import bases
from lorabert.shipping import adapters, fingerprints, tokenizer_files
from lorabert.shipping.exporting import cards, documented, graphs, parity, quantising
from lorabert.shipping.exporting.merging import merged
from lorabert.shipping.exporting.running import ONNX_FILE, opened
from lorabert.shipping.manifests import EXPORT, MANIFEST, SCHEMA_VERSION, file_entries, sealed

FORMATS = tuple(parity.TOLERANCES)
_BATCH_SIZE = 32
_ELSEWHERE = "Free some space or name another folder with --out"
_REPEATED = ("labels", "problem_type", "max_length", "base", "method", "seed", "config", "data", "metrics", "temperature",
             "calibration")  # fmt: skip


def export(adapter: Path, out: Path, format_name: str, *, base_name: str | None = None, allow_drift: bool = False,
           say: Callable[[str], None] = print) -> dict[str, Any]:  # fmt: skip
    """Make one plain model of an adapter and its base, check it against them, and move it to its place.

    Args:
        adapter: an adapter folder.
        out: where to; new, or an empty folder.
        format_name: one of `FORMATS`.
        base_name: where the base lies, when not where the manifest says.
        allow_drift: keep an export that is beyond its tolerance, marked as such.
        say: called with each line for people.

    Returns:
        `{"export", "format", "adapter", "files", "bytes", "drift", "parity"}`.

    Raises:
        InputError: no such format, a library is missing, `out` holds something, or the architecture cannot be exported.
        MismatchError: the adapter is not what was recorded, or the export is beyond its tolerance; nothing is left at `out`.
    """
    out = _free(out, format_name)
    classifier, manifest = adapters.load(adapter, base_name)
    say(f"Verified: {adapter}, its base and its answers")
    asked = parity.examples(adapter, manifest, say)
    before = parity.answers(classifier, asked, _BATCH_SIZE)
    with disk_errors(out, fix=_ELSEWHERE), whole_folder(out) as beside:
        plain = merged(classifier)
        tokenizer_files.write(beside, adapter, plain, everywhere=True)
        say(f"Writing {format_name}")
        _write_model(plain, asked, beside, format_name)
        made = opened(beside, format_name, plain.label_names, plain.max_length)
        say("Comparing its answers with the adapter's")
        document = _parity(format_name, before, parity.answers(made, asked, _BATCH_SIZE, documented.asking(made)), asked)
        _refuse_drift(document, out, say, allow_drift=allow_drift)
        facts = _facts(adapter, manifest, document)
        _write_texts(beside, facts, document, tokenizer_files.inputs_of(plain))
        contents = {**facts, "files": file_entries(beside), "fingerprint": fingerprints.taken(made)}
        write_atomically(beside / MANIFEST, sealed(contents))
        del made  # Windows moves no folder while a file in it is mapped
    return {
        "export": str(out), "format": format_name, "adapter": str(adapter),
        "files": sorted([*contents["files"], MANIFEST]),
        "bytes": sum(entry["bytes"] for entry in contents["files"].values()),
        "drift": not document["within_tolerance"], "parity": document,
    }  # fmt: skip


def _free(out: Path, format_name: str) -> Path:
    """The place as an absolute path, after the checks that need no model.

    Raises:
        InputError: no such format, a library is missing, something lies there, or the folder cannot be made.
    """
    if format_name not in FORMATS:
        raise InputError("No such format", got=f"'{format_name}'", expected=f"--format with one of {', '.join(FORMATS)}")
    graphs.require(*_libraries(format_name))
    out = Path(os.path.abspath(out))  # noqa: PTH100 - a folder beside it is named after it, and links stay as they are
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} already holds something", expected="a new or empty folder", fix="Name another --out")
    with disk_errors(out, fix=_ELSEWHERE):
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except (FileNotFoundError, FileExistsError):
            raise InputError(f"The folder {out} cannot be made", fix="Name another --out") from None
    return out


def _libraries(format_name: str) -> tuple[str, ...]:
    return () if format_name == "merged" else graphs.ONNX


def _write_model(plain: Classifier, asked: parity.Examples, folder: Path, format_name: str) -> None:
    plain.model.config.save_pretrained(folder)
    if format_name == "merged":
        with bases.quiet_transformers():
            plain.model.save_pretrained(folder)
        return
    example = plain.encode(asked.fixed.rows([1, 2]))
    if format_name == "onnx":
        graphs.write(plain, example, folder / ONNX_FILE)
        return
    with tempfile.TemporaryDirectory(dir=folder) as passing:
        graphs.write(plain, example, Path(passing) / ONNX_FILE)
        quantising.write(Path(passing) / ONNX_FILE, folder / ONNX_FILE)


def _parity(format_name: str, before: parity.Answers, after: parity.Answers, asked: parity.Examples) -> dict[str, Any]:
    figures = parity.compared(before, after, asked)
    versions = package_versions() | {name: importlib.metadata.version(name) for name in _libraries(format_name)}
    return parity.as_document(format_name, figures, parity.excesses(format_name, figures), versions)


def _refuse_drift(document: dict[str, Any], out: Path, say: Callable[[str], None], *, allow_drift: bool) -> None:
    """Refuse an export that is beyond its tolerance, or say that it is.

    Raises:
        MismatchError: it is, and that was not allowed.
    """
    if document["within_tolerance"]:
        return
    if not allow_drift:
        raise MismatchError(
            f"The {document['format']} export",
            document["beyond"],
            fix=f"Nothing was left at {out}. Choose another --format, or keep it all the same with --allow-drift",
        )
    say(f"DRIFT, kept because of --allow-drift: {'; '.join(document['beyond'])}")


def _facts(adapter: Path, manifest: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """An export's manifest but for its files and its answers."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": EXPORT,
        "format": document["format"],
        **{key: manifest[key] for key in _REPEATED if key in manifest},
        "adapter": {"manifest_sha256": manifest["manifest_sha256"], "weights_sha256": sha256_of(adapter / adapters.WEIGHTS)},
        "drift": not document["within_tolerance"],
        "versions": document["versions"],
    }


def _write_texts(folder: Path, facts: dict[str, Any], document: dict[str, Any], inputs: list[str]) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "parity.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    (folder / "README.md").write_text(cards.card(facts, document, inputs), encoding="utf-8", newline="\n")
