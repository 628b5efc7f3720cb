package gradcube.kylin;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kylin.cube.model.CubeDesc;
import org.apache.kylin.cube.model.CubeJoinedFlatTableDesc;
import org.apache.kylin.dimension.TimeDerivedColumnType;
import org.apache.kylin.metadata.model.MeasureDesc;
import org.apache.kylin.metadata.model.TblColRef;
import org.apache.kylin.stream.core.model.StreamingMessage;
import org.apache.kylin.stream.core.source.IStreamingMessageParser;
import org.apache.kylin.stream.core.source.MessageFormatException;
import org.apache.kylin.stream.core.source.MessageParserInfo;
import org.apache.kylin.stream.source.kafka.KafkaPosition.KafkaPartitionPosition;

/**
 * A record of flat JSON in, a row's texts in the order of the cube's columns out, with the row's key beside them. It stands
 * for Kylin's TimedJsonStreamParser, which counts a null measure as 0, refuses 3.0 for a whole number, and knows no key.
 */
public final class RowParser implements IStreamingMessageParser<ConsumerRecord<byte[], byte[]>> {
    /** What the message's params and the cube's field mapping call the row's key. */
    public static final String KEY = "$key";

    private static final JsonFactory JSON = new JsonFactory();
    private static final String PATH = ".";

    private final List<TimeDerivedColumnType> derived = new ArrayList<>();
    private final List<Boolean> whole = new ArrayList<>();
    private final List<String> names = new ArrayList<>();
    private final Set<Integer> measures = new HashSet<>();
    private final Map<String, Integer> places = new HashMap<>();
    private final Set<String> objects = new HashSet<>();
    private final int time;
    private final int timeColumn;
    private final int key;

    public RowParser(CubeDesc cube, MessageParserInfo info) {
        Map<String, String> fields = info.getColumnToSourceFieldMapping();
        Map<String, String> mapping = fields == null ? Collections.emptyMap() : fields;
        for (TblColRef column : new CubeJoinedFlatTableDesc(cube).getAllColumns()) {
            derived.add(TimeDerivedColumnType.getTimeDerivedColumnType(column.getName()));
            whole.add(column.getType().isIntegerFamily());
            place(column.getName(), mapping, names.size());
            names.add(column.getName());
        }
        for (MeasureDesc measure : cube.getMeasures()) {
            measure.getFunction().getParameter().getColRefs().forEach(one -> measures.add(names.indexOf(one.getName())));
        }
        time = names.size();
        timeColumn = names.indexOf(info.getTsColName());
        place(info.getTsColName(), mapping, time);
        key = mapping.containsKey(KEY) ? time + 1 : -1;
        if (key > 0) {
            place(KEY, mapping, key);
        }
    }

    private void place(String column, Map<String, String> mapping, int place) {
        String field = mapping.getOrDefault(column, column).toLowerCase(Locale.ROOT);
        places.put(field, place);
        for (int at = field.indexOf(PATH); at > 0; at = field.indexOf(PATH, at + 1)) {
            objects.add(field.substring(0, at));
        }
    }

    @Override
    public StreamingMessage parse(ConsumerRecord<byte[], byte[]> record) {
        String[] values = new String[time + 2];
        try (JsonParser parser = JSON.createParser(record.value())) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new MessageFormatException("the record is no JSON object");
            }
            read(parser, "", values);
        } catch (IOException | RuntimeException error) {
            throw new MessageFormatException(where(record) + error.getMessage());
        }
        return message(record, values);
    }

    private void read(JsonParser parser, String prefix, String[] values) throws IOException {
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String name = prefix + parser.getCurrentName().toLowerCase(Locale.ROOT);
            JsonToken token = parser.nextToken();
            Integer place = places.get(name);
            if (token == JsonToken.START_OBJECT && objects.contains(name)) {
                read(parser, name + PATH, values);
            } else if (token.isStructStart()) {
                parser.skipChildren();
            } else if (place != null && token != JsonToken.VALUE_NULL) {
                values[place] = parser.getText();
            }
        }
    }

    private StreamingMessage message(ConsumerRecord<byte[], byte[]> record, String[] values) {
        if (values[time] == null) {
            throw new MessageFormatException(where(record) + "it has no time");
        }
        long moment;
        try {
            moment = Long.parseLong(values[time]);
        } catch (NumberFormatException error) {
            throw new MessageFormatException(where(record) + "its time is no number of milliseconds");
        }
        if (timeColumn >= 0) {
            values[timeColumn] = values[time];
        }
        for (int place = 0; place < time; place++) {
            values[place] = value(record, place, moment, values[place]);
        }
        Map<String, Object> params = key > 0 && values[key] != null
                ? Collections.singletonMap(KEY, values[key]) : Collections.emptyMap();
        return new StreamingMessage(Arrays.asList(values).subList(0, time),
                new KafkaPartitionPosition(record.partition(), record.offset()), moment, params);
    }

    private String value(ConsumerRecord<byte[], byte[]> record, int place, long moment, String value) {
        if (derived.get(place) != null) {
            return String.valueOf(derived.get(place).normalize(moment));
        }
        if (value == null && measures.contains(place)) {
            throw new MessageFormatException(where(record) + names.get(place) + " is null, which Kylin would count as 0");
        }
        return value != null && whole.get(place) && value.endsWith(".0") ? value.substring(0, value.length() - 2) : value;
    }

    private static String where(ConsumerRecord<byte[], byte[]> record) {
        return record.topic() + "-" + record.partition() + " at " + record.offset() + ": ";
    }
}
