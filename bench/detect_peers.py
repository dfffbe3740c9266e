"""Other detectors on the same series, as their documentation tells to use them: Prophet, MSTL, ADTK, detectkit.

Each is a function from one series to flags, or absent when its package is not installed (the group `peers`).
"""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

Method = Callable[[tuple[str, Any, Any]], Any]
SIGMAS = 4.5
COVER = 0.99999  # of the forecast's band, about as wide as SIGMAS


def available() -> tuple[dict[str, Method], list[str]]:
    """The peers that are installed, and the names of those that are not."""
    known: dict[str, tuple[str, Method]] = {
        "Prophet, refitted weekly": ("prophet", prophet_flags),
        "statsforecast MSTL, weekly": ("statsforecast", mstl_flags),
        "ADTK SeasonalAD": ("adtk", adtk_flags),
        "detectkit MAD by hour, weekday": ("detectkit", detectkit_flags),
    }
    there = {name: method for name, (package, method) in known.items() if importlib.util.find_spec(package)}
    warnings.filterwarnings("ignore")
    for noisy in ("prophet", "cmdstanpy"):
        logging.getLogger(noisy).disabled = True  # a level would be set anew when the package is imported
    return there, [name for name in known if name not in there]


def seasons(name: str) -> tuple[int, int]:
    """(windows in a week, the shorter season) of a series."""
    return (168, 24) if name.startswith("hourly") else (7, 7)


def by_week(series: tuple[str, Any, Any], forecast: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Any:
    """Flags outside the band that `forecast(times, values, next times)` gives for each week of the second half."""
    name, times, values = series
    week, _ = seasons(name)
    flagged = np.zeros(len(values), bool)
    for start in range(len(values) // 2, len(values), week):
        span = slice(start, min(start + week, len(values)))
        lower, upper = forecast(times[:start], values[:start], times[span])
        flagged[span] = (values[span] < lower) | (values[span] > upper)
    return flagged


def prophet_flags(series: tuple[str, Any, Any]) -> Any:
    import pandas
    from prophet import Prophet

    def forecast(times: Any, values: Any, ahead: Any) -> tuple[Any, Any]:
        model = Prophet(interval_width=COVER, yearly_seasonality=False, uncertainty_samples=300)
        model.fit(pandas.DataFrame({"ds": times, "y": values}))
        got = model.predict(pandas.DataFrame({"ds": ahead}))
        return got["yhat_lower"].to_numpy(), got["yhat_upper"].to_numpy()

    return by_week(series, forecast)


def mstl_flags(series: tuple[str, Any, Any]) -> Any:
    from statsforecast.models import MSTL

    week, day = seasons(series[0])

    def forecast(_: Any, values: Any, ahead: Any) -> tuple[Any, Any]:
        at = np.arange(len(values))
        known = np.isfinite(values)
        whole = np.interp(at, at[known], values[known])
        model = MSTL(season_length=sorted({day, week}))
        got = model.forecast(y=whole, h=len(ahead), level=[100 * COVER])
        lower, upper = (next(v for k, v in got.items() if k.startswith(side)) for side in ("lo", "hi"))
        return lower, upper

    return by_week(series, forecast)


def adtk_flags(series: tuple[str, Any, Any]) -> Any:
    import pandas
    from adtk.detector import SeasonalAD

    name, times, values = series
    line = pandas.Series(values, index=pandas.DatetimeIndex(times)).interpolate().bfill()
    line.index.freq = pandas.infer_freq(line.index)
    half = len(line) // 2
    detector = SeasonalAD(freq=seasons(name)[0], trend=True)
    detector.fit(line.iloc[:half])
    flagged = np.zeros(len(values), bool)
    flagged[half:] = detector.detect(line.iloc[half:]).fillna(0).to_numpy().astype(bool)
    return flagged & np.isfinite(values)


def detectkit_flags(series: tuple[str, Any, Any]) -> Any:
    from detectkit.detectors.statistical.mad import MADDetector

    name, times, values = series
    hours = (times - times.astype("datetime64[D]")).astype("timedelta64[h]").astype(int)
    days = (times.astype("datetime64[D]").astype(int) + 3) % 7
    marks = [json.dumps({"hour": int(h), "day": int(d)}) for h, d in zip(hours, days, strict=True)]
    detector = MADDetector(
        threshold=SIGMAS,
        window_size=6 * seasons(name)[0],
        seasonality_components=[["hour", "day"]],
        min_samples_per_group=3,
    )
    data = {
        "timestamp": times.astype("datetime64[ms]"),
        "value": values,
        "seasonality_data": np.array(marks),
        "seasonality_columns": ["hour", "day"],
    }
    return np.array([bool(point.is_anomaly) for point in detector.detect(data)])
