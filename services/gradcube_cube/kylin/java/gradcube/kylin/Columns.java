package gradcube.kylin;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kylin.cube.model.CubeDesc;
import org.apache.kylin.cube.model.CubeJoinedFlatTableDesc;
import org.apache.kylin.dimension.TimeDerivedColumnType;
import org.apache.kylin.metadata.model.MeasureDesc;
import org.apache.kylin.metadata.model.TblColRef;
import org.apache.kylin.stream.core.model.StreamingMessage;
import org.apache.kylin.stream.core.source.MessageFormatException;
import org.apache.kylin.stream.core.source.MessageParserInfo;
import org.apache.kylin.stream.source.kafka.KafkaPosition.KafkaPartitionPosition;

/** The columns of a cube in Kylin's order: texts in, a row out, or why they are none. */
final class Columns {
    /** What the message's params and the cube's field mapping call the row's key. */
    static final String KEY = "$key";

    final List<String> names = new ArrayList<>();
    final Map<String, String> mapping;
    final String time;

    private final List<TblColRef> columns;
    private final List<TimeDerivedColumnType> derived = new ArrayList<>();
    private final Set<Integer> measures = new HashSet<>();
    private final int timeColumn;

    Columns(CubeDesc cube, MessageParserInfo info) {
        Map<String, String> fields = info.getColumnToSourceFieldMapping();
        mapping = fields == null ? Collections.emptyMap() : fields;
        columns = new ArrayList<>(new CubeJoinedFlatTableDesc(cube).getAllColumns());
        for (TblColRef column : columns) {
            derived.add(TimeDerivedColumnType.getTimeDerivedColumnType(column.getName()));
            names.add(column.getName());
        }
        for (MeasureDesc measure : cube.getMeasures()) {
            measure.getFunction().getParameter().getColRefs().forEach(one -> measures.add(names.indexOf(one.getName())));
        }
        time = info.getTsColName();
        timeColumn = names.indexOf(time);
    }

    /** Where a column's value is in a record. */
    String field(String column) {
        return mapping.getOrDefault(column, column);
    }

    boolean isTimestamp(int place) {
        return columns.get(place).getType().isTimestamp();
    }

    boolean isFraction(int place) {
        return columns.get(place).getType().isNumberFamily() && !isWhole(place);
    }

    /** The most characters that fit, of a column of texts; else as many as there may be. */
    int most(int place) {
        return columns.get(place).getType().isStringFamily() ? columns.get(place).getType().getPrecision() : Integer.MAX_VALUE;
    }

    boolean isDerived(int place) {
        return derived.get(place) != null;
    }

    private boolean isWhole(int place) {
        return columns.get(place).getType().isIntegerFamily();
    }

    /** `values` has a place for each column; `moment`, in milliseconds, is the row's time; `key` may be null. */
    StreamingMessage row(ConsumerRecord<byte[], byte[]> record, String[] values, String moment, String key) {
        long millis = millis(record, moment);
        if (timeColumn >= 0) {
            values[timeColumn] = moment;
        }
        for (int place = 0; place < values.length; place++) {
            values[place] = value(record, place, millis, values[place]);
        }
        Map<String, Object> params = key == null ? Collections.emptyMap() : Collections.singletonMap(KEY, key);
        return new StreamingMessage(Arrays.asList(values), position(record), millis, params);
    }

    private static long millis(ConsumerRecord<byte[], byte[]> record, String moment) {
        if (moment == null) {
            throw refused(record, "it has no time");
        }
        try {
            return Long.parseLong(moment);
        } catch (NumberFormatException error) {
            throw refused(record, "its time is no number of milliseconds");
        }
    }

    private String value(ConsumerRecord<byte[], byte[]> record, int place, long moment, String value) {
        if (isDerived(place)) {
            return String.valueOf(derived.get(place).normalize(moment));
        }
        if (value == null && measures.contains(place)) {
            throw refused(record, names.get(place) + " is null, which Kylin would count as 0");
        }
        return value != null && isWhole(place) && value.endsWith(".0") ? value.substring(0, value.length() - 2) : value;
    }

    static KafkaPartitionPosition position(ConsumerRecord<byte[], byte[]> record) {
        return new KafkaPartitionPosition(record.partition(), record.offset());
    }

    static MessageFormatException refused(ConsumerRecord<byte[], byte[]> record, String reason) {
        return new MessageFormatException(record.topic() + "-" + record.partition() + " at " + record.offset() + ": " + reason);
    }
}
