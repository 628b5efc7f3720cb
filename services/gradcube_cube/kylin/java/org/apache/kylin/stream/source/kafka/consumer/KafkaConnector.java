package org.apache.kylin.stream.source.kafka.consumer;

import gradcube.kylin.AvroRows;
import gradcube.kylin.RecentRows;
import gradcube.kylin.RowParser;
import gradcube.kylin.WholeRecords;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kylin.stream.core.consumer.ConsumerStartMode;
import org.apache.kylin.stream.core.consumer.IStreamingConnector;
import org.apache.kylin.stream.core.model.StreamingMessage;
import org.apache.kylin.stream.core.source.ISourcePosition;
import org.apache.kylin.stream.core.source.IStreamingMessageParser;
import org.apache.kylin.stream.core.source.IStreamingSource;
import org.apache.kylin.stream.core.source.MessageFormatException;
import org.apache.kylin.stream.core.source.Partition;
import org.apache.kylin.stream.source.kafka.KafkaPosition;
import org.apache.kylin.stream.source.kafka.KafkaSource;

/**
 * Reads a topic for one cube. It is found before Kylin 3.1.3's class of the same name, which after every restart reads all
 * partitions from their beginning: it asks Kafka to do so with those that have no position, and Kafka takes an empty
 * collection for all of them. Here each partition is asked for by itself, and a row that comes again is passed over.
 */
public class KafkaConnector implements IStreamingConnector {
    private static final Duration PATIENCE = Duration.ofMillis(100);

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final String topic;
    private final IStreamingMessageParser<ConsumerRecord<byte[], byte[]>> parser;
    private final KafkaSource source;
    private final Queue<ConsumerRecord<byte[], byte[]>> fetched = new ArrayDeque<>();
    private final Queue<MessageFormatException> refused = new ArrayDeque<>();
    private List<Partition> partitions = Collections.emptyList();
    private ConsumerStartMode mode = ConsumerStartMode.EARLIEST;
    private Map<Integer, Long> next = Collections.emptyMap();
    private RecentRows recent;
    private boolean learnt;
    private ISourcePosition read;

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

    /** A row whose key was read a while ago is passed over. `read` is told of records that become no rows. */
    public void passOverRepeated(RecentRows recent, ISourcePosition read) {
        this.recent = recent;
        this.read = read;
    }

    @Override
    public StreamingMessage nextEvent() {
        learnRecent();
        if (!refused.isEmpty()) { // of a record whose other rows are kept
            throw refused.poll();
        }
        for (ConsumerRecord<byte[], byte[]> record = next(); record != null; record = fetched.poll()) {
            List<StreamingMessage> rows = rows(record);
            rows.removeIf(row -> recent != null && !recent.add(row.getParams().get(RowParser.KEY)));
            if (!rows.isEmpty()) {
                return rows.size() == 1 ? rows.get(0) : WholeRecords.message(rows);
            }
            tell(record);
            if (!refused.isEmpty()) {
                throw refused.poll();
            }
        }
        return null;
    }

    private ConsumerRecord<byte[], byte[]> next() {
        if (fetched.isEmpty()) {
            consumer.poll(PATIENCE).forEach(fetched::add);
        }
        return fetched.poll();
    }

    private List<StreamingMessage> rows(ConsumerRecord<byte[], byte[]> record) {
        List<MessageFormatException> bad = new ArrayList<>();
        try {
            return parse(record, bad);
        } catch (MessageFormatException error) {
            tell(record); // else a bad record at the end would be a lag for ever
            throw error;
        } finally {
            bad.stream().limit(1).forEach(refused::add); // a record is counted once
        }
    }

    private List<StreamingMessage> parse(ConsumerRecord<byte[], byte[]> record, List<MessageFormatException> bad) {
        return parser instanceof AvroRows ? ((AvroRows) parser).rows(record, bad)
                : new ArrayList<>(Collections.singletonList(parser.parse(record)));
    }

    private void tell(ConsumerRecord<byte[], byte[]> record) {
        if (read != null) {
            read.update(new KafkaPosition.KafkaPartitionPosition(record.partition(), record.offset()));
        }
    }

    /** The keys of the rows before the first one: a row may come again after a start, too. */
    private void learnRecent() {
        if (learnt || recent == null) {
            return;
        }
        learnt = true;
        Map<TopicPartition, Long> starts = new HashMap<>();
        consumer.assignment().forEach(one -> starts.put(one, consumer.position(one)));
        Map<TopicPartition, Long> first = consumer.beginningOffsets(starts.keySet());
        int rows = parser instanceof AvroRows ? ((AvroRows) parser).most() : 1;
        long each = recent.most() / rows / Math.max(1, starts.size());
        starts.forEach((one, start) -> consumer.seek(one, Math.max(first.get(one), start - each)));
        while (starts.entrySet().stream().anyMatch(one -> consumer.position(one.getKey()) < one.getValue())) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(PATIENCE)) {
                if (record.offset() < starts.get(new TopicPartition(record.topic(), record.partition()))) {
                    learn(record);
                }
            }
        }
        starts.forEach(consumer::seek);
        recent.startCounting();
    }

    private void learn(ConsumerRecord<byte[], byte[]> record) {
        try {
            parse(record, new ArrayList<>()).forEach(row -> recent.add(row.getParams().get(RowParser.KEY)));
        } catch (MessageFormatException error) {
            return; // it was told of when it was read
        }
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
