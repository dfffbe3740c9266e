"""Uploads and warehouse imports: take a file, say what its columns mean, watch it being read, pause and go on."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from cliffwatch.accounts import Permission
from cliffwatch.connections import Connection, Integration, Method
from cliffwatch.connections.imports.files import ENDINGS, columns_of, connect, preview
from cliffwatch.connections.imports.model import Import
from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.web.formats import plural
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import see_other
from cliffwatch.web.views import imports as views
from cliffwatch.web.visit import Administering, Reading, Visit

router = APIRouter()


@router.post("/connections/{connection_id}/upload")
async def upload(request: Request, visit: Administering, connection_id: int) -> Response:
    """Keep the file and ask what its columns mean."""
    connection = visit.services.connections.store.get(visit.workspace_id, connection_id)
    back = f"/connections/{connection_id}"
    limit = visit.services.settings.max_upload_mb * 1_000_000
    if int(request.headers.get("content-length") or 0) > limit + 10_000:
        return see_other(back, f"The file is larger than {limit // 1_000_000:,} MB. Split it.", tone="bad")
    async with request.form(max_files=1, max_fields=5) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            return see_other(back, "Choose a file first.", tone="bad")
        try:
            made = await run_in_threadpool(_keep, visit, connection, file)
        except InvalidInput as error:
            return see_other(back, str(error), tone="bad")
    await run_in_threadpool(visit.audit, "import.upload", f"import:{made.id}", name=made.name)
    return see_other(f"/imports/{made.id}")


@router.get("/imports/{import_id}")
def columns(visit: Administering, import_id: int) -> Response:
    found = visit.services.connections.imports.get(visit.workspace_id, import_id)
    return _columns(visit, found, None, {})


@router.post("/imports/{import_id}")
def start(visit: Administering, import_id: int, posted: PostedForm) -> Response:
    """Read the file, with the columns that were chosen."""
    service = visit.services.connections
    found = service.imports.get(visit.workspace_id, import_id)
    known, _ = preview(_path(visit, found), 1)
    chosen = {name: posted.text(name) for name in views.COLUMNS}
    errors = views.check(chosen, known)
    if errors:
        return _columns(visit, found, chosen, errors, 422)
    service.imports.start(visit.workspace_id, import_id, visit.now, chosen)
    visit.audit("import.start", f"import:{import_id}", name=found.name)
    return see_other(f"/connections/{_connection_id(visit, found)}")


@router.post("/imports/{import_id}/resume")
def resume(visit: Administering, import_id: int) -> Response:
    service = visit.services.connections
    found = service.imports.get(visit.workspace_id, import_id)
    if found.state == "draft":
        raise Conflict("The import", "does not know its columns yet.", "Choose them first.")
    service.imports.start(visit.workspace_id, import_id, visit.now)
    visit.audit("import.start", f"import:{import_id}", name=found.name)
    return see_other(f"/connections/{_connection_id(visit, found)}")


@router.post("/imports/{import_id}/pause")
def pause(visit: Administering, import_id: int) -> Response:
    service = visit.services.connections
    found = service.imports.get(visit.workspace_id, import_id)
    service.imports.pause(visit.workspace_id, import_id)
    visit.audit("import.pause", f"import:{import_id}", name=found.name)
    return see_other(f"/connections/{_connection_id(visit, found)}", "Paused. It goes on where it stopped.")


@router.get("/connections/{connection_id}/imports")
def progress(visit: Reading, connection_id: int) -> Response:
    connection = visit.services.connections.store.get(visit.workspace_id, connection_id)
    return visit.part(
        "parts/imports.html", connection=connection, may_admin=_may(visit), **import_parts(visit, connection)
    )


def import_parts(visit: Visit, connection: Connection) -> Mapping[str, Any]:
    """What the page of a connection says of its imports."""
    if connection.method not in (Method.UPLOAD, Method.WAREHOUSE):
        return {"imports": (), "importing": False, "kept": ""}
    found = visit.services.connections.imports.of_source(visit.workspace_id, connection.source_id)
    lines = [views.line(one, visit.zone, visit.now) for one in found]
    days = visit.services.sources.get(visit.workspace_id, connection.source_id).archive_days
    return {
        "imports": lines,
        "importing": any(one.under_way for one in lines),
        "kept": f"whole events for {plural(days, 'day')}" if days else "no whole events",
    }


def connect_warehouse(
    visit: Visit, integration: Integration, name: str, place: str, folder: str, schema: str, url: str
) -> Connection:
    """Look whether events are there, then connect and begin to read. Raises InvalidInput, Unavailable."""
    service = visit.services.connections
    kind = "postgresql" if place == "postgresql" else "files"
    settings = {"schema": schema.strip()} if kind == "postgresql" else {"folder": folder}
    trial = Import(0, visit.workspace_id, 0, kind, name, settings, "draft", {}, 0, 0, 0, "", visit.now, None, None)
    if kind == "postgresql" and not schema.strip():
        raise InvalidInput("Warehouse schema", "is needed.", "Segment names it after the source, such as web_shop.")
    service.importer.open(trial, url).close()
    connection = service.connect_import(visit.workspace_id, integration, name, Method.WAREHOUSE, {"place": place})
    where = settings.get("schema") or settings.get("folder") or ""
    made = service.imports.create(visit.workspace_id, connection.source_id, kind, where, settings, url, visit.now)
    service.imports.start(visit.workspace_id, made.id, visit.now)
    return connection


def _keep(visit: Visit, connection: Connection, file: UploadFile) -> Import:
    """Lay the file down and look whether it can be read. Raises InvalidInput; then nothing of it stays."""
    service = visit.services.connections
    shown = Path(str(file.filename)).name[:120]
    ending = Path(shown).suffix.lower()
    if ending not in ENDINGS:
        raise InvalidInput(f"File {shown}", "is neither CSV nor Parquet.", f"Use: {', '.join(ENDINGS)}.")
    service.importer.uploads.mkdir(parents=True, exist_ok=True)
    path = service.importer.uploads / f"{secrets.token_hex(12)}{ending}"
    with path.open("wb") as kept:
        shutil.copyfileobj(file.file, kept, 1 << 20)
    try:
        if not path.stat().st_size:
            raise InvalidInput(f"File {shown}", "is empty.", "Export it again.")
        with connect() as reading:
            columns_of(reading, path)
    except InvalidInput as error:
        path.unlink()
        raise InvalidInput(f"File {shown}", error.rule, error.way_out) from error
    return service.imports.create(
        visit.workspace_id, connection.source_id, "csv", shown, {"file": path.name}, "", visit.now
    )


def _columns(
    visit: Visit, found: Import, chosen: Mapping[str, str] | None, errors: Mapping[str, str], status: int = 200
) -> Response:
    known, rows = preview(_path(visit, found))
    return visit.page(
        "import_columns.html",
        status,
        found=found,
        connection_id=_connection_id(visit, found),
        columns=known,
        rows=rows,
        chosen=chosen or views.guess(known),
        errors=errors,
    )


def _path(visit: Visit, found: Import) -> Path:
    path = visit.services.connections.importer.uploads / str(found.settings.get("file", ""))
    if found.kind != "csv" or not path.is_file():
        raise InvalidInput("The file", "of this import is not here any more.", "Upload it again.")
    return path


def _connection_id(visit: Visit, found: Import) -> int:
    connections = visit.services.connections.store.list(visit.workspace_id)
    return next((one.id for one in connections if one.source_id == found.source_id), 0)


def _may(visit: Visit) -> bool:
    return visit.identity.role.may(Permission.ADMIN)
