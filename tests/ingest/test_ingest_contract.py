"""The door as schemathesis asks it: every path of the tracking API, told as an OpenAPI document, in ways that fit it
and in ways that do not."""

from __future__ import annotations

from typing import Any

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error

from cliffwatch.ingest import Source

TEXT = {"type": "string", "maxLength": 200}
ANYTHING = {"type": "object"}
MESSAGE = {
    "type": "object",
    "required": ["type", "userId"],
    "properties": {
        "type": {"enum": ["track", "page", "screen", "identify", "group", "alias"]},
        **dict.fromkeys(("userId", "anonymousId", "event", "name", "groupId", "previousId", "messageId"), TEXT),
        **dict.fromkeys(("properties", "traits", "context", "integrations"), ANYTHING),
        "timestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
    },
}
BATCH = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {"type": "array", "items": MESSAGE, "maxItems": 20},
        "context": ANYTHING,
        "integrations": ANYTHING,
        "sentAt": {"type": "string", "format": "date-time"},
    },
}
ANSWER = {
    "type": "object",
    "required": ["success"],
    "properties": {"success": {"type": "boolean"}, "code": TEXT, "message": {"type": "string"}},
}
ANSWERS = {
    code: {"description": "", "content": {"application/json": {"schema": ANSWER}}} for code in ("200", "400", "405")
}
SINGLE = ("track", "identify", "page", "screen", "group", "alias", "t", "i", "p", "s", "g", "a")


def _post(body: dict[str, Any]) -> dict[str, Any]:
    return {"post": {"requestBody": {"content": {"application/json": {"schema": body}}}, "responses": ANSWERS}}


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "The tracking API", "version": "1"},
    "paths": {
        **{f"/v1/{name}": _post(MESSAGE) for name in SINGLE},
        **{f"/v1/{name}": _post(BATCH) for name in ("batch", "b", "import", "import/")},
        "/v1/m": _post({"type": "object", "properties": {"series": {"type": "array"}}}),
    },
}
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
BOUNDED = hypothesis.settings(
    max_examples=4,
    deadline=None,
    derandomize=True,  # the same requests each time
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


@SCHEMA.parametrize()
@BOUNDED
def test_whatever_is_asked_the_answer_is_of_the_documented_form_and_never_a_redirect(
    server: Any, source: Source, case: schemathesis.Case
) -> None:
    answer = case.call(base_url=server.url, auth=(source.write_key, ""), allow_redirects=False)
    case.validate_response(answer, checks=[not_a_server_error])
    if case.method == "OPTIONS":  # a browser's question
        assert answer.status_code == 204
        return
    assert answer.status_code in ((200, 400) if case.method == "POST" else (405,)), answer.text
    if case.method != "HEAD":
        assert answer.json()["success"] is (answer.status_code == 200)
