package gradcube.kylin;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kylin.cube.model.CubeDesc;
import org.apache.kylin.stream.core.model.StreamingMessage;
import org.apache.kylin.stream.core.source.IStreamingMessageParser;
import org.apache.kylin.stream.core.source.MessageParserInfo;

/**
 * A record of flat JSON in, a row's texts in the order of the cube's columns out, with the row's key beside them. It stands
 * for Kylin's TimedJsonStreamParser, which counts a null measure as 0, refuses 3.0 for a whole number, and knows no key.
 */
public final class RowParser implements IStreamingMessageParser<ConsumerRecord<byte[], byte[]>> {
    /** What the message's params call the row's key. */
    public static final String KEY = Columns.KEY;

    private static final JsonFactory JSON = new JsonFactory();
    private static final String PATH = ".";

    private final Columns columns;
    private final Map<String, Integer> places = new HashMap<>();
    private final Set<String> objects = new HashSet<>();
    private final int time;
    private final int key;

    public RowParser(CubeDesc cube, MessageParserInfo info) {
        columns = new Columns(cube, info);
        time = columns.names.size();
        key = time + 1;
        columns.names.forEach(one -> place(one, columns.names.indexOf(one)));
        place(columns.time, time);
        if (columns.mapping.containsKey(KEY)) {
            place(KEY, key);
        }
    }

    private void place(String column, int place) {
        String field = columns.field(column).toLowerCase(Locale.ROOT);
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
                throw new IOException("the record is no JSON object");
            }
            read(parser, "", values);
        } catch (IOException | RuntimeException error) {
            throw Columns.refused(record, error.getMessage());
        }
        return columns.row(record, Arrays.copyOf(values, time), values[time], values[key]);
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
}
