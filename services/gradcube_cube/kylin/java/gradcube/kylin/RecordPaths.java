package gradcube.kylin;

import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;

/** Where in a record a column's value is, and what is made of it: `when`, `words` and `from` of a cube's declaration. */
final class RecordPaths {
    static final String RECORD_TIME = "$timestamp";
    private static final String JOIN = "/";

    private final Map<String, String> mapping;
    private final Map<String, Map<String, String>> when = new HashMap<>();
    private final Map<String, Map<String, String>> words = new HashMap<>();

    RecordPaths(Map<String, String> mapping) {
        this.mapping = mapping;
        collect("$when ", when);
        collect("$word ", words);
    }

    private void collect(String prefix, Map<String, Map<String, String>> into) {
        mapping.forEach((name, value) -> {
            if (name.startsWith(prefix)) {
                String[] parts = name.split(" ", 3);
                into.computeIfAbsent(parts[1], one -> new HashMap<>()).put(parts[2], value);
            }
        });
    }

    /** A list as the mapping has it: a line each. */
    static List<String> several(String lines) {
        return lines == null ? Collections.emptyList() : Arrays.asList(lines.split("\n"));
    }

    /** A column's value; a time is in milliseconds, in the record it is in microseconds. */
    Object column(Map<String, Object> fields, String column, boolean time) {
        String path = mapping.getOrDefault(column, column);
        Object value = reach(fields, path);
        for (Map.Entry<String, String> one : when.getOrDefault(column, Collections.emptyMap()).entrySet()) {
            value = one.getValue().equals(text(fields, one.getKey())) ? value : null;
        }
        if (time && value != null && !path.equals(RECORD_TIME)) {
            return Math.floorDiv((Long) value, 1000L);
        }
        return value instanceof String ? words.getOrDefault(column, Collections.emptyMap()).getOrDefault(value, (String) value)
                : value;
    }

    /** As Python writes it: keys, conditions and joined texts are the same in both engines. */
    String text(Map<String, Object> fields, String path) {
        Object value = reach(fields, path);
        if (value instanceof Boolean) {
            return (Boolean) value ? "True" : "False";
        }
        return value == null ? "None" : value.toString();
    }

    Object reach(Map<String, Object> fields, String path) {
        if (path.contains(JOIN)) {
            StringBuilder joined = new StringBuilder();
            for (String part : path.split(JOIN)) {
                joined.append(joined.length() == 0 ? "" : JOIN).append(text(fields, part));
            }
            return joined.toString();
        }
        Object value = fields;
        for (String part : path.equals(RECORD_TIME) ? new String[] {path} : path.split("\\.")) {
            if (!(value instanceof Map) || !((Map<?, ?>) value).containsKey(part)) {
                throw new NoSuchElementException("it has no " + path);
            }
            value = ((Map<?, ?>) value).get(part);
        }
        return value;
    }
}
