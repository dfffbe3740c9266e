"""Writes the Python client's operations from the OpenAPI document: run it after a change of the HTTP API.

    python tools/make_client.py

writes src/cliffwatch/client/api_*.py; with --check it says which files would change, and fails if there are any.
"""

from __future__ import annotations

import argparse
import builtins
import keyword
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cliffwatch.api import create_api
from cliffwatch.app import build_services
from cliffwatch.db import Database
from cliffwatch.settings import Settings
from cliffwatch.store import open_store

FOLDER = Path(__file__).parent.parent / "src/cliffwatch/client"
TYPES = {"integer": "int", "number": "float", "string": "str", "boolean": "bool"}
Json = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    files = {name: formatted(text) for name, text in generated(document()).items()}
    present = {path.name: path.read_text() for path in FOLDER.glob("api_*.py")}
    differ = sorted(name for name in files.keys() | present.keys() if files.get(name) != present.get(name))
    if arguments.check:
        print("\n".join(differ) or "The client is up to date.")
        sys.exit(bool(differ))
    for name in present.keys() - files.keys():
        (FOLDER / name).unlink()
    for name, text in files.items():
        (FOLDER / name).write_text(text)
    print(f"Wrote {len(files)} files, {len(differ)} of them changed.")


def document() -> Json:
    """The OpenAPI document of an empty installation."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/metadata.db")
        database.migrate()
        store = open_store(None)
        services = build_services(Settings(data_dir=Path(folder)), database, store)
        found: Json = create_api(services).openapi()
        store.close()
        database.close()
        return found


def generated(document: Json) -> dict[str, str]:
    """File name -> source, one file for each tag of the document."""
    tags: dict[str, list[str]] = {}
    for path, method, operation in operations(document):
        tags.setdefault(operation["tags"][0], []).append(method_of(document, path, method, operation))
    files = {f"api_{snake(tag)}.py": module_of(tag, methods) for tag, methods in sorted(tags.items())}
    classes = [f"{camel(tag)}Api" for tag in sorted(tags)]
    imports = "\n".join(f"from cliffwatch.client.api_{snake(tag)} import {camel(tag)}Api" for tag in sorted(tags))
    bases = ", ".join(classes)
    files["api_all.py"] = (
        '"""Every operation of the HTTP API. Written by tools/make_client.py."""\n\n'
        f'from __future__ import annotations\n\n{imports}\n\n\nclass Operations({bases}):\n    """All operations."""\n'
    )
    return files


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def module_of(tag: str, methods: list[str]) -> str:
    body = "\n".join(methods)
    wanted = [name for name in ("Iterator", "Mapping", "Sequence") if f"{name}[" in body]
    abc = f"from collections.abc import {', '.join(wanted)}\n" if wanted else ""
    return (
        f'"""Operations of the HTTP API about {tag.lower()}. Written by tools/make_client.py."""\n\n'
        f"from __future__ import annotations\n\n{abc}from typing import Any\n\n"
        "from cliffwatch.client.transport import Transport\n\n\n"
        f'class {camel(tag)}Api(Transport):\n    """{tag}."""\n\n{body}\n'
    )


def method_of(document: Json, path: str, method: str, operation: Json) -> str:
    """One operation as a method: path parameters by position, then the body, then the rest by name."""
    parameters = [resolved(document, parameter) for parameter in operation.get("parameters", [])]
    of_path = [parameter for parameter in parameters if parameter["in"] == "path"]
    named = [parameter for parameter in parameters if parameter["in"] in ("query", "header")]
    body = resolved(document, operation.get("requestBody", {}))
    signature = ["self", *(f"{snake(one['name'])}: {type_of(document, one['schema'])}" for one in of_path)]
    if body:
        signature.append("body: Mapping[str, Any]" + ("" if body.get("required") else " | None = None"))
    paged = any(one["name"] == "cursor" for one in named)
    optional = [one for one in named if not (paged and one["name"] in ("cursor", "limit"))]
    if optional:
        signature.append("*")
        for one in optional:
            kind = type_of(document, one["schema"])
            required = one.get("required", False)
            signature.append(f"{snake(one['name'])}: {kind if required else f'{kind} | None = None'}")
    target = re.sub(r"{(\w+)}", lambda found: "{" + snake(found.group(1)) + "}", path)
    quoted = f'f"{target}"' if "{" in target else f'"{target}"'
    query = ", ".join(f'"{one["name"]}": {snake(one["name"])}' for one in optional if one["in"] == "query")
    headers = ", ".join(f'"{one["name"]}": {snake(one["name"])}' for one in optional if one["in"] == "header")
    more = (f", query={{{query}}}" if query else "") + (f", headers={{{headers}}}" if headers else "")
    told = operation["summary"].rstrip(".") + "."
    if operation.get("description"):
        lines = textwrap.wrap(" ".join(operation["description"].split()), 108)
        told += "\n\n        " + "\n        ".join(lines) + "\n        "
    if paged:
        return (
            f"    def {operation['operationId']}({', '.join(signature)}) -> Iterator[dict[str, Any]]:\n"
            f'        """{told}"""\n        return self._pages({quoted}{more})\n'
        )
    gives = answer_of(document, operation)
    if body:
        more = f", body=body{more}"
    call = f'self._ask("{method.upper()}", {quoted}{more})'
    if gives == "None":
        head = f"    def {operation['operationId']}({', '.join(signature)}) -> None:\n"
        return f'{head}        """{told}"""\n        {call}\n'
    return (
        f"    def {operation['operationId']}({', '.join(signature)}) -> {gives}:\n"
        f'        """{told}"""\n        found: {gives} = {call}\n        return found\n'
    )


def answer_of(document: Json, operation: Json) -> str:
    for code, answer in operation["responses"].items():
        if code.startswith("2"):
            content = resolved(document, answer).get("content", {}).get("application/json")
            if content is None:
                return "None" if code == "204" else "Any"
            return type_of(document, content["schema"])
    return "Any"


def resolved(document: Json, value: Json) -> Json:
    while "$ref" in value:
        found: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def type_of(document: Json, schema: Json) -> str:
    schema = resolved(document, schema)
    choices = schema.get("anyOf")
    if choices:
        kinds = {type_of(document, choice) for choice in choices if choice.get("type") != "null"}
        return kinds.pop() if len(kinds) == 1 else "Any"
    kind = schema.get("type")
    if kind == "array":
        inner = type_of(document, schema.get("items", {}))
        return f"Sequence[{inner}]" if inner in TYPES.values() else f"list[{inner}]"
    if kind == "object" or "properties" in schema:
        return "dict[str, Any]"
    return TYPES.get(str(kind), "Any")


def snake(name: str) -> str:
    """A Python name; one that Python has taken for itself gets an underscore."""
    found = re.sub(r"\W+", "_", name).lower()
    return f"{found}_" if keyword.iskeyword(found) or hasattr(builtins, found) else found


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"\W+", name))


def formatted(source: str) -> str:
    """As the formatter of this repository writes it."""
    for arguments in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(FOLDER / "api_x.py"), "-"],
            input=source,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        source = done.stdout
    return source


if __name__ == "__main__":
    main()
