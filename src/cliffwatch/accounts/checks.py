"""What names, e-mail addresses, time zones and countries must look like. Pure, apart from the tables of the system."""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from cliffwatch.errors import InvalidInput

MAX_NAME = 120
MAX_EMAIL = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets

# One @, something on both sides, a dot in the domain or "localhost". Whether it exists, only a message can tell.
_EMAIL = re.compile(r"[^\s@<>(),;:\"\\]{1,64}@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


def checked_email(email: str) -> str:
    """The address in lower case. Raises InvalidInput."""
    plain = normal_email(email)
    if len(plain) > MAX_EMAIL or not _EMAIL.fullmatch(plain) or not _local_part_is_fine(plain):
        raise InvalidInput("E-mail", "is not an e-mail address.", "Use the form name@example.com")
    return plain


def normal_email(email: str) -> str:
    """The one form in which an address is kept and looked up."""
    return unicodedata.normalize("NFKC", email[:1_000]).strip().lower()


def _local_part_is_fine(email: str) -> bool:
    local, _, domain = email.partition("@")
    return ".." not in local and local.strip(".") == local and ("." in domain or domain == "localhost")


def checked_name(what: str, name: str) -> str:
    """The name in one line, without control characters. Raises InvalidInput."""
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    if not plain:
        raise InvalidInput(what, "is empty.", "Give it a name.")
    if len(plain) > MAX_NAME:
        raise InvalidInput(what, f"is longer than {MAX_NAME} characters.", "Shorten it.")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn") for character in plain):
        raise InvalidInput(what, "contains characters that cannot be shown.", "Remove them.")
    return plain


def checked_time_zone(name: str) -> str:
    """Raises InvalidInput when the IANA time zone database has no such zone."""
    if name not in time_zones():
        raise InvalidInput("Time zone", f"“{name[:80]}” is not known.", "Use a name such as Europe/Berlin or UTC.")
    return name


def checked_country(code: str | None) -> str | None:
    """The code in upper case; None for none. Raises InvalidInput when ISO 3166-1 has no such country."""
    if not code or not code.strip():
        return None
    plain = code.strip().upper()
    if plain not in countries():
        raise InvalidInput("Country", f"“{code[:80]}” is not known.", "Use a code of two letters, such as DE, or none.")
    return plain


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """Every IANA time zone that this system knows."""
    return frozenset(zoneinfo.available_timezones() - {"Factory", "localtime", "posixrules"})


@lru_cache(maxsize=1)
def countries() -> Mapping[str, str]:
    """ISO 3166-1 alpha-2 code -> English name, as the time zone database lists them."""
    lines = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text("utf-8").splitlines()
    pairs = (line.split("\t", 1) for line in lines if line and not line.startswith("#"))
    return dict(sorted((code, name) for code, name in pairs))


def slug_of(name: str) -> str:
    """The name for addresses: lower-case ASCII letters, digits and hyphens; "workspace" when nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "workspace"
