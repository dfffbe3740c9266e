"""The token and revocation endpoints. Nothing here writes codes, tokens or secrets anywhere."""

from __future__ import annotations

import structlog
from starlette.responses import Response
from starlette.routing import Route

from cliffwatch.connections.http.asking import Asked, endpoint, json_answer
from cliffwatch.connections.oauth.server import Answer, Server
from cliffwatch.errors import InvalidInput

log = structlog.get_logger(__name__)


def routes(server: Server) -> list[Route]:
    def token(asked: Asked) -> Response:
        return _response(server.token(asked.form, asked.headers))

    def revoke(asked: Asked) -> Response:
        return _response(server.revoke(asked.form, asked.headers))

    return [
        Route("/oauth2/token", endpoint(token, failed), methods=["POST"]),
        Route("/oauth2/revoke", endpoint(revoke, failed), methods=["POST"]),
    ]


def failed(error: Exception) -> Response:
    if isinstance(error, InvalidInput):
        return json_answer(400, {"error": "invalid_request", "error_description": str(error)})
    log.error("token_endpoint_failed", error=type(error).__name__)  # its text may hold what was sent
    return json_answer(500, {"error": "server_error", "error_description": "Something broke on this side."})


def _response(answer: Answer) -> Response:
    return json_answer(answer.status, dict(answer.body), dict(answer.headers))
