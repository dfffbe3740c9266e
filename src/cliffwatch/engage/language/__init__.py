"""Segment's query language for audiences and computed traits: text to definition and back. Pure."""

from cliffwatch.engage.language.model import Definition
from cliffwatch.engage.language.parse import InvalidQuery, parse_audience, parse_trait
from cliffwatch.engage.language.show import show

__all__ = ["Definition", "InvalidQuery", "parse_audience", "parse_trait", "show"]
