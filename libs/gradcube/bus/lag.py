"""How far a consumer group is behind the end of its topics."""

from contextlib import closing

from kafka import KafkaAdminClient, KafkaConsumer

from gradcube.bus.client import bus_errors, connect
from gradcube.settings import KafkaSettings


def group_lag(settings: KafkaSettings, group: str) -> int:
    """Records that `group` has not committed yet, over all its partitions. Raises BusError.

    0 for a group that has never committed.
    """
    with bus_errors(settings), closing(connect(KafkaAdminClient, settings, client_id="gradcube-admin")) as admin:
        committed = admin.list_group_offsets(group)[group]
    with bus_errors(settings), closing(connect(KafkaConsumer, settings, client_id="gradcube-lag")) as consumer:
        ends = consumer.end_offsets(list(committed))
    return sum(max(ends[partition] - mark.offset, 0) for partition, mark in committed.items())
