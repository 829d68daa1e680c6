"""Holds requests and answers against RunPod's OpenAPI document, where that is at hand."""

from __future__ import annotations

import json
import re
from functools import lru_cache

import jsonschema


class Schema:
    def __init__(self, document):
        self.document = document
        self._paths = [
            (re.compile("^" + re.sub(r"\{\w+\}", "[^/]+", path) + "$"), item)
            for path, item in document["paths"].items()
        ]

    def operation(self, method, path):
        for pattern, item in self._paths:
            if pattern.match(path):
                return item.get(method.lower())
        return None

    def request_errors(self, method, path, body):
        """What breaks the contract, as the API lists it."""
        operation = self.operation(method, path)
        if not operation or "requestBody" not in operation:
            return []
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        return [f"$: {error.message}" for error in self._validator(_key(schema)).iter_errors(body)]

    def answer_errors(self, method, path, status, body):
        operation = self.operation(method, path)
        if not operation:
            return [f"{method} {path} is not in the document"]
        answer = operation["responses"].get(str(status))
        if answer is None:
            return [f"{method} {path} does not answer {status}"] if status < 400 else []
        if "$ref" in answer:
            answer = self._resolve(answer["$ref"])
        content = answer.get("content", {})
        schema = next((each["schema"] for kind, each in content.items() if "json" in kind and "schema" in each), None)
        if schema is None:
            return [f"{method} {path} {status} has a body"] if body else []
        return [
            f"{method} {path} {status} {error.json_path}: {error.message}"
            for error in self._validator(_key(schema)).iter_errors(body)
        ]

    def _resolve(self, ref):
        found = self.document
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]
        return found

    @lru_cache(maxsize=64)  # noqa: B019 - one for the process
    def _validator(self, key):

        schema = {"$ref": f"#/{key}"} if isinstance(key, str) and key.startswith("components") else json.loads(key)
        return jsonschema.Draft202012Validator({**schema, "components": self.document["components"]})


def _key(schema):

    return schema["$ref"].removeprefix("#/") if set(schema) == {"$ref"} else json.dumps(schema)
