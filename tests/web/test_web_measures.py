"""Every measure, all the way: typed into the wizard, counted from events that came through the door, read back on the
page and over the API, and compared with what is counted by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.owners import set_up_owner
from tests.web.conftest import HOUR, NOW, OWNER, PASSWORD, House, running

from cliffwatch.accounts import Scope

FIRST = NOW - NOW % HOUR - 6 * HOUR
REVENUE = "properties.revenue"


@dataclass(frozen=True)
class Happened:
    ms: int
    event: str
    user: str
    country: str
    revenue: float | None


def history() -> list[Happened]:
    """Six hours of orders and checkouts; some orders carry no number."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(420):
        order = bool(rng.random() < 0.4)
        revenue = round(float(rng.gamma(3, 20)), 2) if order and rng.random() < 0.9 else None
        found.append(
            Happened(
                FIRST + int(rng.integers(6 * HOUR)),
                "Order Completed" if order else "Checkout Started",
                f"u{rng.integers(40)}",
                str(rng.choice(["DE", "FR"])),
                revenue,
            )
        )
    return found


EVENTS = history()
Take = Callable[[Sequence[Happened]], float]


def numbers(events: Sequence[Happened]) -> list[float]:
    return [one.revenue for one in events if one.revenue is not None]


def orders(events: Sequence[Happened]) -> list[Happened]:
    return [one for one in events if one.event == "Order Completed"]


def checkouts(events: Sequence[Happened]) -> list[Happened]:
    return [one for one in events if one.event == "Checkout Started"]


def people(events: Sequence[Happened]) -> int:
    return len({one.user for one in events})


def percentile(q: int) -> Take:
    return lambda events: float(np.percentile(numbers(events), q))


@dataclass(frozen=True)
class Case:
    """What is typed for one measure, its key, and how it is counted by hand."""

    typed: dict[str, str]
    key: str
    by_hand: Take
    loose: float = 1e-9


def of_revenue(how: str, by_hand: Take, loose: float = 1e-9) -> Case:
    return Case({"m_aggregation": how, "m_path": REVENUE}, f"{how}({REVENUE})", by_hand, loose)


CASES = [
    Case({"m_aggregation": "count"}, "count()", len),
    Case({"m_aggregation": "users"}, "users()", people),
    Case({"m_aggregation": "count", "m_event": "Order Completed"}, "count()@Order Completed", lambda e: len(orders(e))),
    of_revenue("sum", lambda e: sum(numbers(e))),
    of_revenue("average", lambda e: float(np.mean(numbers(e)))),
    of_revenue("min", lambda e: min(numbers(e))),
    of_revenue("max", lambda e: max(numbers(e))),
    *(of_revenue(f"p{q}", percentile(q), 1e-9) for q in (50, 90, 95, 99)),
    Case(
        {
            "m_aggregation": "ratio",
            "m_top_aggregation": "count",
            "m_top_event": "Order Completed",
            "m_bottom_aggregation": "count",
            "m_bottom_event": "Checkout Started",
        },
        "ratio(count()@Order Completed/count()@Checkout Started)",
        lambda e: len(orders(e)) / len(checkouts(e)),
    ),
    Case(
        {
            "m_aggregation": "ratio",
            "m_top_aggregation": "sum",
            "m_top_path": REVENUE,
            "m_bottom_aggregation": "users",
            "m_bottom_event": "Order Completed",
        },
        f"ratio(sum({REVENUE})/users()@Order Completed)",
        lambda e: sum(numbers(e)) / people(orders(e)),
    ),
]
COLUMNS = (
    *("m_aggregation", "m_path", "m_event", "m_label", "m_unit", "m_top_aggregation", "m_top_path", "m_top_event"),
    *("m_bottom_aggregation", "m_bottom_path", "m_bottom_event"),
)


@dataclass
class Measured:
    house: House
    stream: int
    token: str

    def points(self, key: str, slice_: dict[str, str]) -> dict[str, Any]:
        answer = self.house.client(None).get(
            f"/api/v1/streams/{self.stream}/points",
            params={"measure": key, "slice": json.dumps(slice_), "start": iso(FIRST), "end": iso(NOW)},
            headers={"Authorization": f"Bearer {self.token}"},
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """A stream with every measure, made on the page and filled from the archive."""
    folder: Path = tmp_path_factory.mktemp("measures")
    with running(folder) as house:
        services = house.services
        owner = set_up_owner(services.accounts, NOW, email=OWNER, password=PASSWORD)
        source = services.sources.create(owner.workspace.id, "Website", NOW)
        batch = [
            {
                "type": "track",
                "event": one.event,
                "userId": one.user,
                "messageId": f"m{number}",
                "timestamp": iso(one.ms),
                "properties": {"country": one.country} | ({"revenue": one.revenue} if one.revenue is not None else {}),
            }
            for number, one in enumerate(EVENTS)
        ]
        sent = house.client(None).post("/v1/batch", auth=(source.write_key, ""), content=json.dumps({"batch": batch}))
        assert sent.status_code == 200
        assert services.ingest.wait_absorbed(20)
        fields: dict[str, Any] = {
            "source": "1",
            "type": "track",
            "event": ["Order Completed", "Checkout Started"],
            "dimension": "properties.country",
            "custom": "yes",
            "frequency": "60",
            "name": "Everything",
        }
        fields |= {name: [case.typed.get(name, "") for case in CASES] for name in COLUMNS}
        answer = house.client().post("/streams/new", data=fields)
        assert answer.status_code == 303, answer.text
        while services.pipeline.work():
            pass
        _, token = services.accounts.create_token(
            owner.workspace.id, None, "tests", Scope.READ, expires_ms=None, now=NOW
        )
        yield Measured(house, int(answer.headers["location"].rsplit("/", 1)[-1]), token)


@pytest.mark.parametrize("case", CASES, ids=[case.key for case in CASES])
@pytest.mark.parametrize("country", ["", "DE"])
def test_a_measure_is_what_is_counted_by_hand(case: Case, country: str, measured: Measured) -> None:
    slice_ = {"properties.country": country} if country else {}
    found = measured.points(case.key, slice_)
    for start, value in zip(found["window_start"], found["value"], strict=True):
        begin = int(datetime.fromisoformat(start).timestamp() * 1000)
        inside = [one for one in EVENTS if begin <= one.ms < begin + HOUR and country in ("", one.country)]
        assert value == pytest.approx(case.by_hand(inside), rel=case.loose), (start, len(inside))
    assert len(found["value"]) == 5  # the hour of the very first event is not whole


@pytest.mark.parametrize("case", CASES, ids=[case.key for case in CASES])
def test_a_measure_is_drawn_on_the_page_as_the_api_gives_it(case: Case, measured: Measured) -> None:
    path = f"/streams/{measured.stream}"
    drawn = measured.house.client().get(f"{path}/series.json", params={"measure": case.key, "range": "24h"}).json()
    given = measured.points(case.key, {})["value"]
    assert drawn["actual"] == pytest.approx(given, abs=1e-5)
    page = measured.house.client().get(path, params={"measure": case.key})
    assert page.status_code == 200
    assert "no values over" not in page.text


def test_what_the_wizard_made_opens_in_the_wizard_as_it_was(measured: Measured) -> None:
    stream = measured.house.services.streams.get(1, measured.stream)
    assert [one.key for one in stream.definition.measures] == [case.key for case in CASES]
    page = measured.house.client().get(f"/streams/{measured.stream}/edit").text
    for name in ("Order Completed", "Checkout Started"):
        assert f'value="{name}"' in page
