"""Opsgenie by its Alert API."""

from cliffwatch.notify.channels.opsgenie.channel import OPSGENIE, OpsgenieSettings

__all__ = ["OPSGENIE", "OpsgenieSettings"]
