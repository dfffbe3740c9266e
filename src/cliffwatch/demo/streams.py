"""The demo shop's data streams, as a person would have defined them."""

from __future__ import annotations

from typing import Any

_HOURLY = {"frequency_minutes": 60, "anchor": "00:00", "time_zone": "Europe/Berlin"}


def _dimensions(*names: str) -> list[dict[str, Any]]:
    return [{"path": f"properties.{name}", "top": 8} for name in names]


SHOP_STREAMS: dict[str, dict[str, Any]] = {
    "Revenue": {
        "spec_type": "track",
        "events": ["Order Completed"],
        "dimensions": _dimensions("country", "platform", "app_version"),
        "measures": [
            {"aggregation": "sum", "path": "properties.revenue", "label": "Revenue", "unit": "EUR"},
            {"aggregation": "count", "label": "Orders"},
            {"aggregation": "average", "path": "properties.revenue", "label": "Average order value", "unit": "EUR"},
        ],
        "schedule": _HOURLY,
    },
    "Checkout": {
        "spec_type": "track",
        "events": ["Order Completed", "Checkout Failed"],
        "dimensions": _dimensions("country", "platform", "app_version"),
        "measures": [
            {
                "aggregation": "ratio",
                "label": "Checkout success rate",
                "numerator": {"aggregation": "count", "event": "Order Completed"},
                "denominator": {"aggregation": "count"},
            },
            {"aggregation": "count", "event": "Checkout Failed", "label": "Failed checkouts"},
        ],
        "schedule": _HOURLY,
    },
    "Sign-ups": {
        "spec_type": "track",
        "events": ["Signed Up"],
        "dimensions": _dimensions("country", "platform", "plan"),
        "measures": [{"aggregation": "count", "label": "Sign-ups"}],
        "schedule": _HOURLY,
    },
    "Page views": {
        "spec_type": "page",
        "events": [],
        "dimensions": _dimensions("country", "platform", "plan", "app_version"),
        "measures": [
            {"aggregation": "count", "label": "Page views"},
            {"aggregation": "users", "label": "Unique visitors"},
        ],
        "schedule": _HOURLY,
    },
}
