package org.apache.kylin.stream.source.kafka.consumer;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kylin.stream.core.consumer.ConsumerStartMode;
import org.apache.kylin.stream.core.consumer.IStreamingConnector;
import org.apache.kylin.stream.core.model.StreamingMessage;
import org.apache.kylin.stream.core.source.IStreamingMessageParser;
import org.apache.kylin.stream.core.source.IStreamingSource;
import org.apache.kylin.stream.core.source.Partition;
import org.apache.kylin.stream.source.kafka.KafkaSource;

/**
 * Reads a topic for one cube. It is found before Kylin 3.1.3's class of the same name, which after every restart reads all
 * partitions from their beginning: it asks Kafka to do so with those that have no position, and Kafka takes an empty
 * collection for all of them. Here each partition is asked for by itself.
 */
public class KafkaConnector implements IStreamingConnector {
    private static final Duration PATIENCE = Duration.ofMillis(100);

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final String topic;
    private final IStreamingMessageParser<ConsumerRecord<byte[], byte[]>> parser;
    private final KafkaSource source;
    private final Queue<ConsumerRecord<byte[], byte[]>> fetched = new ArrayDeque<>();
    private List<Partition> partitions = Collections.emptyList();
    private ConsumerStartMode mode = ConsumerStartMode.EARLIEST;
    private Map<Integer, Long> next = Collections.emptyMap();

    @SuppressWarnings({"rawtypes", "unchecked"}) // Kylin's factory passes the raw type
    public KafkaConnector(Map<String, Object> settings, String topic, IStreamingMessageParser parser, KafkaSource source) {
        this.consumer = new KafkaConsumer<>(settings);
        this.topic = topic;
        this.parser = parser;
        this.source = source;
    }

    public void setStartPartition(List<Partition> partitions, ConsumerStartMode mode, Map<Integer, Long> next) {
        this.partitions = partitions;
        this.mode = mode;
        this.next = next == null ? Collections.emptyMap() : next;
    }

    @Override
    public void open() {
        List<TopicPartition> assigned = new ArrayList<>();
        partitions.forEach(one -> assigned.add(new TopicPartition(topic, one.getPartitionId())));
        consumer.assign(assigned);
        assigned.forEach(this::seek);
    }

    private void seek(TopicPartition partition) {
        Collection<TopicPartition> alone = Collections.singleton(partition);
        Long position = mode == ConsumerStartMode.SPECIFIC_POSITION ? next.get(partition.partition()) : null;
        if (position != null) {
            consumer.seek(partition, position);
        } else if (mode == ConsumerStartMode.LATEST) {
            consumer.seekToEnd(alone);
        } else {
            consumer.seekToBeginning(alone);
        }
    }

    @Override
    public StreamingMessage nextEvent() {
        if (fetched.isEmpty()) {
            consumer.poll(PATIENCE).forEach(fetched::add);
        }
        ConsumerRecord<byte[], byte[]> record = fetched.poll();
        return record == null ? null : parser.parse(record);
    }

    @Override
    public void close() {
        consumer.close();
    }

    @Override
    public void wakeup() {
        consumer.wakeup();
    }

    @Override
    public List<Partition> getConsumePartitions() {
        return partitions;
    }

    @Override
    public IStreamingSource getSource() {
        return source;
    }
}
