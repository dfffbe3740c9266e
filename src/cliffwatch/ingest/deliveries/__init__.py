"""Receiving from the real Segment as one of its destinations: webhooks, classic and Actions, and the Direct form."""

from cliffwatch.ingest.deliveries.addresses import Deliveries
from cliffwatch.ingest.deliveries.model import DeliveryAddress

__all__ = ["Deliveries", "DeliveryAddress"]
