"""An MCP server for assistants: takes questions about what changed and why, gives what the HTTP API says.

It only reads: each tool is a GET of the API, and the token may be one of scope read. Needs the extra `mcp`.
"""

from __future__ import annotations

from cliffwatch.assistant.server import create_server

__all__ = ["create_server"]
