"""A shop that never was: ten weeks of believable history, live traffic, and a checkout that breaks.

Takes an address and a write key; gives Segment messages over HTTP like any SDK. Never touches a store.
"""

from cliffwatch.demo.shop import Problem, Shop, hour_of_events

__all__ = ["Problem", "Shop", "hour_of_events"]
