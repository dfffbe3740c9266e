"""Templates: offered where their events were seen, filled in with the paths that are there."""

from __future__ import annotations

import pytest

from cliffwatch.spec.model import SpecType
from cliffwatch.streams import dump, parse
from cliffwatch.streams.template_list import TEMPLATES, Template
from cliffwatch.streams.templates import Offer, Seen, of_interest, offers, watched

ORDER = {
    "properties.revenue": ("number", "49.00"),
    "properties.currency": ("string", "EUR"),
    "properties.country": ("string", "DE"),
    "properties.order_id": ("string", "8-1"),
    "context.app.version": ("string", "4.2.1"),
}


def track(**paths: dict[str, tuple[str, str]]) -> dict[SpecType, Seen]:
    named = {name.replace("_", " "): found for name, found in paths.items()}
    return {SpecType.TRACK: Seen(dict.fromkeys(named, 100), named)}


def by_key(seen: dict[SpecType, Seen]) -> dict[str, Offer]:
    return {offer.key: offer for offer in offers(seen, "Europe/Berlin")}


def test_a_shop_is_offered_revenue_with_its_currency_and_dimensions() -> None:
    offer = by_key(track(Order_Completed=ORDER))["revenue"]
    definition = offer.definition
    assert definition.events == ("Order Completed",)
    assert [measure.key for measure in definition.measures] == [
        "sum(properties.revenue)",
        "count()",
        "average(properties.revenue)",
    ]
    assert definition.measures[0].unit == "EUR"
    assert [one.path for one in definition.dimensions] == ["properties.country", "context.app.version"]
    assert definition.schedule.time_zone == "Europe/Berlin"


def test_conversion_needs_both_events() -> None:
    assert "checkout" not in by_key(track(Order_Completed=ORDER))
    offer = by_key(track(Order_Completed=ORDER, Checkout_Started=ORDER))["checkout"]
    assert offer.definition.measures[0].key == "ratio(count()@Order Completed/count()@Checkout Started)"
    assert set(offer.definition.events) == {"Order Completed", "Checkout Started"}


def test_dimensions_of_two_events_are_those_that_both_have() -> None:
    offer = by_key(track(Order_Completed=ORDER, Checkout_Started={"properties.country": ("string", "DE")}))["checkout"]
    assert [one.path for one in offer.definition.dimensions] == ["properties.country"]


def test_other_spellings_are_the_same_event() -> None:
    seen = {SpecType.TRACK: Seen({"order_completed": 7}, {"order_completed": ORDER})}
    offer = by_key(seen)["revenue"]
    assert (offer.definition.events, offer.events) == (("order_completed",), 7)


def test_revenue_without_a_number_is_not_offered() -> None:
    assert "revenue" not in by_key(track(Order_Completed={"properties.revenue": ("string", "49,00 €")}))


def test_page_views_are_offered_to_a_website() -> None:
    seen = {SpecType.PAGE: Seen({"Home": 10, "": 5}, {"Home": {"context.page.path": ("string", "/")}, "": {}})}
    (offer,) = offers(seen, "UTC")
    assert (offer.key, offer.definition.events, offer.events) == ("page-views", (), 15)


def test_what_is_watched_already_is_known() -> None:
    offer = by_key(track(Order_Completed=ORDER))["revenue"]
    assert watched(offer, [offer.definition])
    assert not watched(offer, [by_key(track(Signed_Up=ORDER))["sign-ups"].definition])
    assert not watched(offer, [])


def everything() -> dict[SpecType, Seen]:
    """A catalogue in which every event of every template was seen."""
    names = {first[0] for template in TEMPLATES for first in template.events.values()}
    seen = Seen(dict.fromkeys(names, 3), dict.fromkeys(names, ORDER))
    other = Seen({"Home": 3}, {"Home": ORDER})
    return {SpecType.TRACK: seen, SpecType.PAGE: other, SpecType.SCREEN: other}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.key)
def test_each_template_makes_a_valid_stream(template: Template) -> None:
    offer = by_key(everything())[template.key]
    assert parse(dump(offer.definition)) == offer.definition
    assert len(offer.definition.measures) == len(template.measures)


def test_only_the_names_that_have_a_part_are_looked_into() -> None:
    names = {"Order Completed": 5, "Clicked": 900, "signed_up": 2}
    assert of_interest(SpecType.TRACK, names) == ["Order Completed", "signed_up"]
    assert of_interest(SpecType.PAGE, {f"Page {i}": i for i in range(9)}) == ["Page 8", "Page 7", "Page 6"]
