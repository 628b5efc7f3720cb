"""How far a consumer group is behind the end of its topics."""

from contextlib import closing

from kafka import KafkaAdminClient, KafkaConsumer

from gradcube.bus.client import bus_errors, kafka_options, quiet_client_log
from gradcube.settings import KafkaSettings


def group_lag(settings: KafkaSettings, group: str) -> int:
    """Records that `group` has not committed yet, over all its partitions. Raises BusError.

    0 for a group that has never committed.
    """
    quiet_client_log()
    options = kafka_options(settings)
    with bus_errors(settings), closing(KafkaAdminClient(**options, client_id="gradcube-admin")) as admin:
        committed = admin.list_group_offsets(group)[group]
    with bus_errors(settings), closing(KafkaConsumer(**options, client_id="gradcube-lag")) as consumer:
        ends = consumer.end_offsets(list(committed))
    return sum(max(ends[partition] - mark.offset, 0) for partition, mark in committed.items())
