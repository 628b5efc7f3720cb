package gradcube.kylin;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kylin.cube.model.CubeDesc;
import org.apache.kylin.stream.core.model.StreamingMessage;
import org.apache.kylin.stream.core.source.IStreamingMessageParser;
import org.apache.kylin.stream.core.source.MessageFormatException;
import org.apache.kylin.stream.core.source.MessageParserInfo;

/**
 * A record of framed Avro in, the rows out that the cube's declaration makes of it: what {@code declarations.records} does
 * for the embedded engine, from the same declaration, which is in the field mapping under names that begin with a dollar.
 */
public final class AvroRows implements IStreamingMessageParser<ConsumerRecord<byte[], byte[]>> {
    private final Columns columns;
    private final AvroSchemas schemas;
    private final RecordPaths paths;
    private final List<String> unpivot;
    private final Map<String, List<String>> filters = new HashMap<>();

    public AvroRows(CubeDesc cube, MessageParserInfo info) {
        columns = new Columns(cube, info);
        schemas = new AvroSchemas(columns.mapping.get("$schema"));
        paths = new RecordPaths(columns.mapping);
        unpivot = RecordPaths.several(columns.mapping.get("$unpivot"));
        columns.mapping.forEach((name, value) -> {
            if (name.startsWith("$filter ")) {
                filters.put(name.substring("$filter ".length()), RecordPaths.several(value));
            }
        });
    }

    /** How many rows a record may have. */
    public int most() {
        return Math.max(1, unpivot.size() - 2);
    }

    @Override
    public StreamingMessage parse(ConsumerRecord<byte[], byte[]> record) {
        return WholeRecords.message(rows(record, new ArrayList<>()));
    }

    /**
     * Those that fit their columns; none of a record that the filter leaves out. `refused` is told of the others. Raises
     * MessageFormatException for a record of which nothing can be read.
     */
    public List<StreamingMessage> rows(ConsumerRecord<byte[], byte[]> record, List<MessageFormatException> refused) {
        List<StreamingMessage> rows = new ArrayList<>();
        for (Map<String, Object> one : measurements(record)) {
            try {
                rows.add(row(record, one));
            } catch (RuntimeException error) {
                refused.add(Columns.refused(record, error.getMessage()));
            }
        }
        return rows;
    }

    private List<Map<String, Object>> measurements(ConsumerRecord<byte[], byte[]> record) {
        try {
            Map<String, Object> fields = schemas.read(record.value());
            fields.put(RecordPaths.RECORD_TIME, record.timestamp());
            boolean wanted = filters.entrySet().stream()
                    .allMatch(one -> one.getValue().contains(paths.text(fields, one.getKey())));
            return wanted ? unpivoted(fields) : Collections.emptyList();
        } catch (RuntimeException error) {
            throw Columns.refused(record, error.getMessage());
        }
    }

    private List<Map<String, Object>> unpivoted(Map<String, Object> fields) {
        if (unpivot.isEmpty()) {
            return Collections.singletonList(fields);
        }
        List<Map<String, Object>> found = new ArrayList<>();
        for (String field : unpivot.subList(2, unpivot.size())) {
            Object value = paths.reach(fields, field);
            if (value != null) {
                Map<String, Object> one = new HashMap<>(fields);
                one.put(unpivot.get(0), field);
                one.put(unpivot.get(1), value);
                found.add(one);
            }
        }
        return found;
    }

    private StreamingMessage row(ConsumerRecord<byte[], byte[]> record, Map<String, Object> fields) {
        String[] values = new String[columns.names.size()];
        for (int place = 0; place < values.length; place++) {
            values[place] = columns.isDerived(place) ? null : value(fields, place);
        }
        String key = paths.text(fields, columns.field(Columns.KEY));
        return columns.row(record, values, plain(paths.column(fields, columns.time, true)), key);
    }

    private String value(Map<String, Object> fields, int place) {
        String name = columns.names.get(place);
        Object value = paths.column(fields, name, columns.isTimestamp(place));
        String text = plain(value);
        if (text != null && text.codePointCount(0, text.length()) > columns.most(place)) {
            throw new IllegalArgumentException(name + " is longer than " + columns.most(place) + " characters");
        }
        if (value instanceof Double && columns.isFraction(place) && !Double.isFinite((Double) value)) {
            throw new IllegalArgumentException(name + " is " + text + ", which cannot be summed up");
        }
        return text;
    }

    private static String plain(Object value) {
        return value == null ? null : value.toString();
    }
}
