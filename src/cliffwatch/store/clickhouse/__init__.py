"""The event store for more than one machine: ClickHouse, a single server or a cluster of shards and replicas."""

from cliffwatch.store.clickhouse.address import Address
from cliffwatch.store.clickhouse.store import ClickHouseStore

__all__ = ["Address", "ClickHouseStore"]
