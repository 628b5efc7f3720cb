package gradcube.kylin;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.codehaus.jackson.JsonNode;
import org.codehaus.jackson.map.ObjectMapper;

/**
 * The schemas that this installation knows, from {@code schemas.json} in the process's configuration: a list of {@code id},
 * {@code name}, {@code version} and {@code schema}. The fingerprints were checked by what wrote the file.
 */
final class AvroSchemas {
    private static final String FILE = "schemas.json";
    private static final int HEADER_BYTES = 5;

    private final Map<Integer, Schema> known = new HashMap<>();
    private Schema latest;

    /** Raises IllegalStateException where there is no such schema: the receiver is older than the cube. */
    AvroSchemas(String name) {
        int newest = 0;
        try (InputStream file = AvroSchemas.class.getClassLoader().getResourceAsStream(FILE)) {
            for (JsonNode one : new ObjectMapper().readTree(file)) {
                if (name.equals(one.get("name").getTextValue())) {
                    Schema schema = new Schema.Parser().parse(one.get("schema").toString());
                    known.put(one.get("id").getIntValue(), schema);
                    latest = one.get("version").getIntValue() > newest ? schema : latest;
                    newest = Math.max(newest, one.get("version").getIntValue());
                }
            }
        } catch (IOException | RuntimeException error) {
            throw new IllegalStateException(FILE + " cannot be read", error);
        }
        if (latest == null) {
            throw new IllegalStateException(FILE + " has no schema " + name);
        }
    }

    /**
     * A framed record as the latest version sees it: a field that its writer did not know has its default. Raises
     * IllegalArgumentException for what is none.
     */
    Map<String, Object> read(byte[] value) {
        if (value == null || value.length < HEADER_BYTES || value[0] != 0) {
            throw new IllegalArgumentException("it is no framed Avro");
        }
        ByteBuffer body = ByteBuffer.wrap(value);
        int id = body.getInt(1);
        body.position(HEADER_BYTES);
        Schema writer = known.get(id);
        if (writer == null) {
            throw new IllegalArgumentException("schema id " + id + " is not known, or of another cube's records");
        }
        Map<String, Object> found = AvroBody.record(writer, body);
        for (Schema.Field field : latest.getFields()) {
            if (!found.containsKey(field.name()) && field.defaultValue() != null) {
                found.put(field.name(), plain(field.defaultValue()));
            }
        }
        return found;
    }

    private static Object plain(JsonNode value) {
        if (value.isTextual()) {
            return value.getTextValue();
        }
        if (value.isBoolean()) {
            return value.getBooleanValue();
        }
        return value.isFloatingPointNumber() ? (Object) value.getDoubleValue()
                : value.isIntegralNumber() ? (Object) value.getLongValue() : null;
    }
}
