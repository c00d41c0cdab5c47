"""The description of the interface, OpenAPI 3.1, made of the table that answers."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from edgesam_rt.server.operation import JSON, Operation
from edgesam_rt.server.problems import MEDIA, ProblemDetails

REF = "#/components/schemas/{name}"
COMMON = (401, 403, 421, 422, 429, 431, 500, 503)  # what the guard may answer to anything
Document = dict[str, Any]


def describe(operations: Sequence[Operation], version: str) -> Document:
    """Return the document."""
    kinds = {kind for each in operations for kind in _kinds(each)} | {ProblemDetails}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=REF)
    paths: dict[str, Any] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "edgesam_rt", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _kinds(operation: Operation) -> list[type[Any]]:
    kinds = [operation.body, *(answer.kind for answer in operation.answers.values())]
    return [kind for kind in kinds if kind is not None]


def _operation(operation: Operation) -> Document:
    made: Document = {
        "operationId": operation.name,
        "summary": operation.about,
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": _content(JSON, operation.body)}
    if operation.is_public:
        made["security"] = []
    return made


def _parameters(operation: Operation) -> list[Document]:
    made: list[Document] = [
        {
            "name": param.name,
            "in": "query",
            "description": param.about,
            "schema": {"enum": list(param.values), "default": param.values[0]},
        }
        for param in operation.query
    ]
    if "{id}" in operation.path:
        schema = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
        made.append({"name": "id", "in": "path", "required": True, "schema": schema})
    return made


def _responses(operation: Operation) -> Document:
    problems = {*operation.problems, *COMMON}
    made: Document = {
        str(code): {
            "description": HTTPStatus(code).phrase,
            "content": _content(MEDIA, ProblemDetails),
        }
        for code in sorted(problems)
    }
    for code, answer in operation.answers.items():
        entry: Document = {"description": answer.about}
        if answer.media is not None:
            entry["content"] = _content(answer.media, answer.kind)
        if str(code) in made:
            entry["content"] |= made[str(code)]["content"]
        made[str(code)] = entry
    return made


def _content(media: str, kind: type[Any] | None) -> Document:
    if kind is not None:
        return {media: {"schema": {"$ref": REF.format(name=kind.__name__)}}}
    return {media: {"schema": {"type": "string"}} if media.startswith("text/") else {}}
