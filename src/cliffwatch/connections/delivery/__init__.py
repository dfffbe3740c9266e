"""Deliveries: events of a source go on to its destinations, each at least once, with what became of them counted."""
