"""The OpenAPI document as one page to read, without scripts and without other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
STYLE = """
:root { color-scheme: light dark }
body { max-width: 52rem; margin: 0 auto; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif }
table { border-collapse: collapse; margin: 0.5rem 0 }
th, td { padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; vertical-align: top }
h2 { margin-top: 2rem; font-size: 1.1rem; overflow-wrap: anywhere }
"""


def reference_page(document: dict[str, Any]) -> str:
    """Return HTML for an OpenAPI document as FastAPI writes it."""
    info = document["info"]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])}: interface</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info.get('summary', ''))}",
        'For programs: <a href="openapi.json">openapi.json</a>.</p>',
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.extend(_operation(f"{method.upper()} {path}", operation))
    return "\n".join([*parts, "</body></html>"])


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(name)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
    rows = [
        (parameter["name"], _values(parameter["schema"]), _text(parameter))
        for parameter in operation.get("parameters", [])
    ]
    yield from _table("Query", rows)
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        fields = content["schema"].get("properties", {})
        rows = [(field, _values(schema), _text(schema)) for field, schema in fields.items()]
        yield from _table(f"Body, {kind}", rows or [("", "the photo itself", "")])
    answers = operation["responses"].items()
    yield from _table("Answers", [(str(key), "", value["description"]) for key, value in answers])


def _table(title: str, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    if not rows:
        return
    yield f"<h3>{escape(title)}</h3><table>"
    for name, values, text in rows:
        cells = f"<td>{escape(values)}</td><td>{escape(text)}</td>"
        yield f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    yield "</table>"


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if "minimum" in schema:
        return f"{schema['minimum']:g} to {schema['maximum']:g}"
    return "file" if schema.get("format") == "binary" else str(schema.get("type", ""))


def _text(item: dict[str, Any]) -> str:
    return str(item.get("description") or item.get("schema", {}).get("description", ""))
