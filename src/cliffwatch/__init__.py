"""Cliffwatch: a self-hosted anomaly monitor for Segment events."""
