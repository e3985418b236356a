"""The OpenAPI document as one page of plain HTML: no script, nothing loaded from anywhere."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre, .method { font-family: ui-monospace, monospace; font-size: .92em }
details { border: 1px solid #8884; border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem }
summary { cursor: pointer } .method { display: inline-block; min-width: 4.5em; font-weight: 600 }
.dim { opacity: .7 } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8883 }
pre { overflow-x: auto; background: #8881; padding: .6rem; border-radius: 6px }
"""


def page(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    info = document["info"]
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>',
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>',
            f"<h1>{escape(info['title'])} <span class=dim>{escape(info['version'])}</span></h1>",
            "<p>Sign in with an application token: <code>Authorization: Bearer sfp_app_…</code>. ",
            'The document: <a href="/sfp/apidocs-json">/sfp/apidocs-json</a> (OpenAPI 3.1).</p>',
            *_operations(document["paths"]),
            "<h2>Schemas</h2>",
            *_schemas(document["components"]["schemas"]),
        ]
    )


def _operations(paths: Mapping[str, Any]) -> Iterable[str]:
    tagged: dict[str, list[str]] = {}
    for path, item in paths.items():
        for method, operation in item.items():
            tag = (operation.get("tags") or ["other"])[0]
            tagged.setdefault(tag, []).append(_operation(method, path, operation))
    for tag, operations in sorted(tagged.items()):
        yield f"<h2>{escape(tag.capitalize())}</h2>"
        yield from operations


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    permission = operation.get("x-permission")
    needs = f"Needs <code>{escape(permission)}</code>." if permission else "Open to all."
    rows = [_parameter(parameter) for parameter in operation.get("parameters", ())]
    table = f"<table><tr><th>Parameter<th>In<th>Type<th>{''.join(rows)}</table>" if rows else ""
    return (
        f"<details><summary><span class=method>{method.upper()}</span> <code>{escape(path)}</code> "
        f"<span class=dim>{escape(operation.get('summary') or '')}</span></summary>"
        f"<p>{needs}</p>{table}{_body(operation)}{_answers(operation)}</details>"
    )


def _parameter(parameter: Mapping[str, Any]) -> str:
    name = escape(parameter["name"]) + ("" if parameter.get("required") else " <span class=dim>(optional)</span>")
    place, about = escape(parameter["in"]), escape(parameter.get("description") or "")
    return f"<tr><td><code>{name}</code><td>{place}<td>{_type(parameter.get('schema', {}))}<td>{about}"


def _body(operation: Mapping[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    return "".join(f"<p>Body ({escape(kind)}): {_type(body.get('schema', {}))}</p>" for kind, body in content.items())


def _answers(operation: Mapping[str, Any]) -> str:
    return "".join(_answer(status, answer) for status, answer in operation["responses"].items())


def _answer(status: str, answer: Mapping[str, Any]) -> str:
    kinds = ", ".join(_type(body.get("schema", {})) for body in answer.get("content", {}).values())
    return (
        f"<p><code>{escape(status)}</code> {kinds} <span class=dim>{escape(answer.get('description') or '')}</span></p>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}"><code>{name}</code></a>'
    if "oneOf" in schema:
        return " or ".join(_type(choice) for choice in schema["oneOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return f"<code>{escape(str(schema.get('type', 'any')))}</code>"


def _schemas(schemas: Mapping[str, Any]) -> Iterable[str]:
    for name, schema in sorted(schemas.items()):
        about, text = escape(schema.get("description") or ""), escape(json.dumps(schema, indent=2, ensure_ascii=False))
        summary = f"<summary><code>{escape(name)}</code> <span class=dim>{about}</span></summary>"
        yield f'<details id="{escape(name)}">{summary}<pre>{text}</pre></details>'
