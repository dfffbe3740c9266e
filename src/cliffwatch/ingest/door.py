"""The door: a raw ASGI callable in front of everything. It takes what SDKs send and hands the rest on.

A request is read within limits, looked over, matched to a source, and made durable; only then is it answered 200.
Judging each message is the absorber's work. No answer of the door is ever a redirect.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cliffwatch.addresses import plain
from cliffwatch.clock import Clock
from cliffwatch.errors import CliffwatchError, Unavailable
from cliffwatch.ingest import answers
from cliffwatch.ingest.answers import Answer
from cliffwatch.ingest.body import Budget, Lease, Outline, Refused, outline, read_body, unpack
from cliffwatch.ingest.commit import GroupCommit
from cliffwatch.ingest.credentials import bearer_token, header_key
from cliffwatch.ingest.deliveries.receive import BODY_LIMIT, NotTaken, Receiver
from cliffwatch.ingest.model import Source
from cliffwatch.ingest.oauth import TokenServer
from cliffwatch.ingest.origins import allows
from cliffwatch.ingest.pages import Scripts, pixel_message, settings_document
from cliffwatch.ingest.privacy import PropertyRules
from cliffwatch.ingest.record import Mark, Record
from cliffwatch.ingest.routes import Route, Target, route
from cliffwatch.ingest.sources import Sources
from cliffwatch.ingest.tally import Tally
from cliffwatch.spec.verdict import Verdict

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Any], Callable[[Any], Any]], Any]
AsciiHeaders = Mapping[bytes, bytes]
Refuse = Callable[[int, int, Verdict, bytes], None]
"""Told of a request that a known source sent and that was refused: source, received_ms, verdict, body."""


@dataclass(frozen=True, slots=True)
class DoorOptions:
    strict_auth: bool = True
    base_url: str = ""  # address that SDKs are told to send to; "" is the one they asked


class Door:
    """Everything a request needs, in one place; one per process."""

    def __init__(
        self,
        *,
        sources: Sources,
        commit: GroupCommit,
        budget: Budget,
        tally: Tally,
        clock: Clock,
        options: DoorOptions,
        has_room: Callable[[], bool],
        refuse: Refuse,
        scripts: Scripts,
        rules: PropertyRules,
        receiver: Receiver,
        tokens: TokenServer,
    ) -> None:
        self._sources = sources
        self._commit = commit
        self._budget = budget
        self._tally = tally
        self._clock = clock
        self._options = options
        self._has_room = has_room
        self._refuse = refuse
        self._scripts = scripts
        self._rules = rules
        self._receiver = receiver
        self._tokens = tokens

    def in_front_of(self, app: App) -> App:
        """The ASGI application that answers the tracking API itself and leaves every other request to `app`."""

        async def door(scope: Scope, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
            found = route(scope["path"]) if scope["type"] == "http" else None
            if found is None:
                await app(scope, receive, send)
                return
            headers: dict[bytes, bytes] = dict(scope["headers"])
            answer = await self._answer(found, scope, headers, receive)
            start = [*answer.headers, *answers.cors_headers(headers.get(b"origin"))]
            await send({"type": "http.response.start", "status": answer.status, "headers": start})
            body = b"" if scope["method"] == "HEAD" else answer.body
            await send({"type": "http.response.body", "body": body})

        return door

    async def _answer(self, found: Route, scope: Scope, headers: AsciiHeaders, receive: Callable[[], Any]) -> Answer:
        method, target = scope["method"], found.target
        if method == "OPTIONS":
            return answers.preflight(headers, target.methods)
        if method not in target.methods:
            return answers.method_refused(target.methods)
        if target is Target.TRACKING:
            return await self._tracking(found, scope, headers, receive)
        if target is Target.WEBHOOK or target is Target.DIRECT:
            return await self._delivery(found, headers, receive)
        if target is Target.OAUTH_TOKEN:
            return await self._token(scope, headers, receive)
        if target is Target.PIXEL:
            await self._pixel(found, scope, headers)
            return answers.PIXEL
        if target is Target.SELF_METRICS:
            self._tally.add(None, Verdict.SELF_METRICS, self._clock())
            return answers.SUCCESS
        if target is Target.SETTINGS:
            return self._settings(found, scope, headers)
        return self._script(found)

    async def _tracking(self, found: Route, scope: Scope, headers: AsciiHeaders, receive: Callable[[], Any]) -> Answer:
        received_ms = self._clock()
        lease = Lease(self._budget)
        try:
            if not self._has_room():
                raise Refused(Verdict.QUEUE_FULL)
            wire = await read_body(receive, headers, lease)
            body = unpack(wire, headers.get(b"content-encoding", b""))
            if body is not wire:
                lease.take(len(body))
            seen = outline(body)
            source = self._source(headers, seen.write_key)
            await self._keep(found, scope, headers, source, seen, received_ms)
        except Refused as refused:
            return self._refused(refused, headers, received_ms)
        finally:
            lease.give_back()
        return answers.SUCCESS

    async def _keep(
        self, found: Route, scope: Scope, headers: AsciiHeaders, source: Source, seen: Outline, received_ms: int
    ) -> None:
        """Make the request durable. Raises Refused when that fails, or the source is switched off."""
        if not source.enabled:
            self._tally.add(source.id, Verdict.SOURCE_DISABLED, received_ms)
            return
        marks = Mark.FROM_BROWSER if b"origin" in headers or found.target is Target.PIXEL else Mark.NONE
        if b"origin" in headers and not allows(source.allowed_origins, headers[b"origin"].decode("latin-1")):
            marks |= Mark.FOREIGN_ORIGIN
        if seen.oversized_item:
            marks |= Mark.OVERSIZED_ITEM
        agent = headers.get(b"user-agent", b"").decode("latin-1") if found.target is Target.PIXEL else ""
        ip = _ipv4(scope) if source.keep_ip else ""
        await self._commit_all([Record(received_ms, source.id, found.spec_type, marks, ip, agent, seen.body)])

    async def _commit_all(self, records: Sequence[Record]) -> None:
        """Make records of one source durable together, without what its rules leave out."""
        plan = self._rules.plan(records[0].source_id)
        if plan is not None:
            records = [
                msgspec.structs.replace(record, body=plan.clean(record.body), ip=record.ip if plan.keeps_ip else "")
                for record in records
            ]
        try:
            await self._commit.commit(b"".join([record.pack() for record in records]))
        except Unavailable as error:
            raise Refused(Verdict.NOT_DURABLE) from error

    async def _delivery(self, found: Route, headers: AsciiHeaders, receive: Callable[[], Any]) -> Answer:
        """What Segment delivers to one of its destinations."""
        received_ms = self._clock()
        lease = Lease(self._budget)
        source: Source | None = None
        try:
            if not self._has_room():
                raise Refused(Verdict.QUEUE_FULL)
            wire = await read_body(receive, headers, lease, BODY_LIMIT)
            body = unpack(wire, headers.get(b"content-encoding", b""), BODY_LIMIT)
            lease.take(len(body))
            delivery = self._receiver.open(found, headers, body, received_ms)
            source = delivery.source
            await self._commit_all(
                [Record(received_ms, source.id, None, marks, "", "", piece) for piece, marks in delivery.pieces]
            )
        except NotTaken as refused:
            source_id = refused.source.id if refused.source else None
            self._tally.add(source_id, refused.verdict, received_ms)
            if source_id is not None and refused.body:
                self._refuse(source_id, received_ms, refused.verdict, refused.body)
            return answers.not_taken(refused.verdict, refused.status, refused.message or "")
        except Refused as refused:
            self._tally.add(source.id if source else None, refused.verdict, received_ms)
            return answers.refusal(refused.verdict, refused.message)
        finally:
            lease.give_back()
        return answers.SUCCESS

    def _source(self, headers: AsciiHeaders, body_key: str) -> Source:
        """The source of the request's write key: its header first, then the body (segment-spec, 1.2)."""
        authorization = headers.get(b"authorization", b"")
        token = bearer_token(authorization)
        if token:
            return self._source_of_token(token, body_key)
        key = header_key(headers)
        source = self._sources.find_by_key(key) if key else None
        if source is None and body_key:
            source = self._sources.find_by_key(body_key)
        if source is None:
            raise Refused(Verdict.UNKNOWN_WRITE_KEY if key or body_key else Verdict.MISSING_WRITE_KEY)
        return source

    def _source_of_token(self, token: str, body_key: str) -> Source:
        """The source of an access token; the write key in the body must be its own. An SDK asks for a new token."""
        source_id = self._tokens.source_of(token)
        source = self._sources.find(source_id) if source_id is not None else None
        if source is None:
            raise Refused(Verdict.INVALID_TOKEN)
        if body_key and self._sources.find_by_key(body_key) != source:
            raise Refused(Verdict.UNKNOWN_WRITE_KEY, "The write key is not one of the source that the token is for.")
        return source

    async def _token(self, scope: Scope, headers: AsciiHeaders, receive: Callable[[], Any]) -> Answer:
        """The token that a client's assertion is good for."""
        lease = Lease(self._budget)
        host = headers.get(b"host", b"").decode("latin-1")
        audiences = [f"{scope.get('scheme', 'http')}://{host}", *filter(None, [self._options.base_url])]
        try:
            form = await read_body(receive, headers, lease)
            return await asyncio.to_thread(self._tokens.answer, form, audiences)
        except Refused as refused:
            return answers.refusal(refused.verdict, refused.message)
        finally:
            lease.give_back()

    def _refused(self, refused: Refused, headers: AsciiHeaders, received_ms: int) -> Answer:
        verdict = refused.verdict
        find = self._sources.find_by_key
        source = find(header_key(headers)) or find(refused.write_key)
        self._tally.add(source.id if source else None, verdict, received_ms)
        if source and refused.body:
            self._refuse(source.id, received_ms, verdict, refused.body)
        if not self._options.strict_auth:
            if verdict is Verdict.UNKNOWN_WRITE_KEY:
                return answers.SUCCESS
            if verdict is Verdict.MISSING_WRITE_KEY:
                return answers.refusal(Verdict.BAD_REQUEST, verdict.sentence)
        return answers.refusal(verdict, refused.message)

    async def _pixel(self, found: Route, scope: Scope, headers: AsciiHeaders) -> None:
        """Take the message of a pixel. The image is answered whatever happens: it stands in somebody's mail."""
        received_ms = self._clock()
        try:
            if not self._has_room():
                raise Refused(Verdict.QUEUE_FULL)
            message = pixel_message(scope["query_string"])
            seen = outline(msgspec.json.encode(message))
            await self._keep(found, scope, headers, self._source(headers, seen.write_key), seen, received_ms)
        except Refused as refused:
            self._refused(refused, headers, received_ms)
        except (CliffwatchError, RecursionError):  # a parameter of ten thousand dots nests as deep
            self._tally.add(None, Verdict.BAD_REQUEST, received_ms)

    def _settings(self, found: Route, scope: Scope, headers: AsciiHeaders) -> Answer:
        source = self._sources.find_by_key(found.key)
        if source is None:
            return answers.not_found("No source has this write key.")
        if self._options.base_url:
            protocol, _, host = self._options.base_url.rstrip("/").partition("://")
        else:
            protocol = scope.get("scheme", "http")
            host = headers.get(b"host", b"").decode("latin-1") + found.prefix
        body = settings_document(found.key, f"{host}/v1", protocol)
        return answers.document(body, "application/json", "private, max-age=60")

    def _script(self, found: Route) -> Answer:
        if found.key and self._sources.find_by_key(found.key) is None:
            return answers.not_found("No source has this write key.")
        body = self._scripts.load(found.file, found.key)
        if body is None:
            return answers.not_found(f"This installation does not carry {found.file}; install it from the npm package.")
        return answers.document(body, "text/javascript; charset=utf-8", "public, max-age=300")


def _ipv4(scope: Scope) -> str:
    """The caller's address, "" when it has none of the kind that Segment keeps."""
    client = scope.get("client")
    try:
        return str(ipaddress.IPv4Address(plain(client[0]))) if client else ""
    except ValueError:
        return ""


def no_door(app: App, role: str) -> App:
    """Where no events are taken: what is meant for the tracking API is answered 503, so that an SDK keeps its events
    and a balancer asks another process. Everything else goes to `app`."""
    said = f"This process has the role {role}: it takes no events. Send them to one with the role ingest or all."
    refused = answers.refusal(Verdict.NOT_DURABLE, said)

    async def instead(scope: Scope, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        found = route(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        start = [*refused.headers, *answers.cors_headers(headers.get(b"origin"))]
        await send({"type": "http.response.start", "status": refused.status, "headers": start})
        await send({"type": "http.response.body", "body": refused.body})

    return instead
