package gradcube.kylin;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;

/**
 * An Avro body in, its values out: Long, Double, Boolean, texts (enums too), records as maps; of arrays, maps and bytes, which
 * no column can be, null. Avro's own decoder allocates what a length claims, so that one hostile record ends the process;
 * here a length is compared with what is left before anything is made.
 */
final class AvroBody {
    private final ByteBuffer left;

    private AvroBody(ByteBuffer body) {
        left = body;
    }

    /** The fields of a record. Raises IllegalArgumentException for whatever is not exactly one of the schema. */
    static Map<String, Object> record(Schema schema, ByteBuffer body) {
        try {
            Map<String, Object> found = new AvroBody(body).record(schema);
            check(!body.hasRemaining(), "bytes are left behind its end");
            return found;
        } catch (BufferUnderflowException error) {
            throw new IllegalArgumentException("it ends in the middle of a value", error);
        }
    }

    private Object value(Schema schema) {
        switch (schema.getType()) {
            case NULL: return null;
            case BOOLEAN: return truth(left.get());
            case INT: return int32(number());
            case LONG: return number();
            case FLOAT: return (double) Float.intBitsToFloat(Integer.reverseBytes(left.getInt()));
            case DOUBLE: return Double.longBitsToDouble(Long.reverseBytes(left.getLong()));
            case STRING: return text(sized());
            case BYTES: sized(); return null;
            case FIXED: skip(schema.getFixedSize()); return null;
            case ENUM: return schema.getEnumSymbols().get(index(schema.getEnumSymbols().size()));
            case UNION: return value(schema.getTypes().get(index(schema.getTypes().size())));
            case ARRAY: blocks(() -> value(schema.getElementType())); return null;
            case MAP: blocks(() -> { sized(); value(schema.getValueType()); }); return null;
            default: return record(schema);
        }
    }

    private Map<String, Object> record(Schema schema) {
        Map<String, Object> found = new HashMap<>();
        schema.getFields().forEach(field -> found.put(field.name(), value(field.schema())));
        return found;
    }

    /** Each item has at least a byte, as the registry's check of schemas says; so a count cannot be beyond what is left. */
    private void blocks(Runnable item) {
        for (long count = number(); count != 0; count = number()) {
            long end = count < 0 ? number() : -1;
            long start = left.position();
            count = Math.abs(count);
            check(count >= 0 && count <= left.remaining(), "a count is beyond its end");
            for (; count > 0; count--) {
                item.run();
            }
            check(end < 0 || left.position() - start == end, "a block is not as long as it says");
        }
    }

    private long number() {
        long value = 0;
        for (int shift = 0; shift < 70; shift += 7) {
            byte one = left.get();
            check(shift < 63 || (one & 0x7e) == 0, "an integer has more than 64 bits");
            value |= (one & 0x7fL) << shift;
            if (one >= 0) {
                return (value >>> 1) ^ -(value & 1);
            }
        }
        throw new IllegalArgumentException("an integer has more than 64 bits");
    }

    private static long int32(long value) {
        check(value == (int) value, "an int has more than 32 bits");
        return value;
    }

    private static boolean truth(byte value) {
        check(value == 0 || value == 1, "a boolean is neither 0 nor 1");
        return value == 1;
    }

    private int index(int size) {
        long found = number();
        check(found >= 0 && found < size, "a union or an enum has no such branch");
        return (int) found;
    }

    private ByteBuffer sized() {
        long length = number();
        check(length >= 0 && length <= left.remaining(), "a length is beyond its end");
        ByteBuffer found = left.slice();
        found.limit((int) length);
        skip((int) length);
        return found;
    }

    private void skip(int length) {
        check(length <= left.remaining(), "it ends in the middle of a value");
        left.position(left.position() + length);
    }

    private static String text(ByteBuffer bytes) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
        } catch (CharacterCodingException error) {
            throw new IllegalArgumentException("a text is no UTF-8", error);
        }
    }

    private static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalArgumentException(otherwise);
        }
    }
}
