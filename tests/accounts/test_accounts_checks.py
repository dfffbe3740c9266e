"""What e-mail addresses, names, zones and countries are taken."""

from __future__ import annotations

import zoneinfo

import pytest

from cliffwatch.accounts import countries, time_zones
from cliffwatch.accounts.checks import checked_country, checked_email, checked_name, checked_time_zone, slug_of
from cliffwatch.errors import InvalidInput


@pytest.mark.parametrize(
    "email", ["robin@shop.example", "r.w+cliff@mail.shop.example", "owner@localhost", "jörg@shop.example", "a_b-c@x.io"]
)
def test_an_address_that_can_exist_is_taken(email: str) -> None:
    assert checked_email(email) == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "robin",
        "@shop.example",
        "robin@",
        "robin@shop",
        "a b@shop.example",
        "a@b@c.example",
        "a..b@shop.example",
        ".a@shop.example",
        "a@-shop.example",
        "a@shop..example",
        f"{'a' * 65}@shop.example",
        f"a@{'b' * 260}.example",
        "a@shop.example\nBcc: all@shop.example",
        "Robin <robin@shop.example>",
    ],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(InvalidInput, match="is not an e-mail address"):
        checked_email(email)


def test_an_address_is_kept_in_lower_case_without_space_around_it() -> None:
    assert checked_email("  Robin@Shop.Example ") == "robin@shop.example"


def test_a_name_is_kept_in_one_line() -> None:
    assert checked_name("Name", "  Robin \n Weber ") == "Robin Weber"


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "a\x07b", "a\ud800b"])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="Name"):
        checked_name("Name", name)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata"])
def test_a_zone_of_the_time_zone_database_is_taken(zone: str) -> None:
    assert checked_time_zone(zone) == zone


@pytest.mark.parametrize("zone", ["", "Berlin", "europe/berlin", "CEST", "../../etc/passwd", "Factory", "localtime"])
def test_any_other_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput, match="Time zone"):
        checked_time_zone(zone)


def test_every_zone_that_is_offered_can_be_opened() -> None:
    assert all(zoneinfo.ZoneInfo(zone) for zone in time_zones())


def test_a_country_is_kept_in_upper_case_and_none_is_none() -> None:
    assert checked_country("de") == "DE"
    assert checked_country("  ") is None
    assert checked_country(None) is None


@pytest.mark.parametrize("code", ["XX", "DEU", "Germany", "D", "49"])
def test_a_country_that_does_not_exist_is_refused(code: str) -> None:
    with pytest.raises(InvalidInput, match="Country"):
        checked_country(code)


def test_countries_have_names_for_people() -> None:
    assert countries()["DE"] == "Germany"
    assert len(countries()) > 240


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Demo shop", "demo-shop"), ("Café Zoë & Co.", "cafe-zoe-co"), ("日本", "workspace"), ("-", "workspace")],
)
def test_a_slug_is_made_of_plain_letters(name: str, slug: str) -> None:
    assert slug_of(name) == slug
