"""Offers to speak another protocol, which nobody here takes: a request is read as if it had made none.

Java's own HTTP client, and others that know HTTP/2, offer it with their first request over plain HTTP, events and all.
A server may pass that over (RFC 9110, 7.8). httptools stops at the end of such a head and takes the body for the other
protocol's first words. Here the head is read once more without the offer, and then the body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OF = (b"upgrade", b"http2-settings")
"""What makes an offer: names of headers, and words of Connection."""


class Parser:
    """The parser of one connection, in the place of httptools' own. The protocol hears of a head with an offer, too; at
    its end `should_upgrade` is true, and the head comes again."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self._renew()

    def _renew(self) -> None:
        self._parser = httptools.HttpRequestParser(self._protocol)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self.get_http_version = self._parser.get_http_version
        self.get_method = self._parser.get_method
        self.should_keep_alive = self._parser.should_keep_alive
        self.should_upgrade = self._parser.should_upgrade

    def feed_data(self, data: bytes) -> None:
        """Raises HttpParserError when it is not HTTP."""
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = self._head_again() + data[offer.args[0] :]
            else:
                return

    def _head_again(self) -> bytes:
        """The head that was read, without its offer."""
        method = self._parser.get_method()
        if method == b"CONNECT":  # no offer, but a tunnel
            raise httptools.HttpParserInvalidMethodError("CONNECT is not taken")
        lines = [b"%b %b HTTP/%b" % (method, self._protocol.url, self._parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in _without_offer(self._protocol.headers)]
        self._renew()
        return b"\r\n".join([*lines, b"", b""])


def _without_offer(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers without the offer and what belongs to it. What else Connection says stays."""
    kept = [(name, value) for name, value in headers if name not in _OF]
    return [(name, _other_words(value) if name == b"connection" else value) for name, value in kept]


def _other_words(value: bytes) -> bytes:
    words = [word.strip() for word in value.split(b",")]
    return b", ".join(word for word in words if word.lower() not in _OF)
