package gradcube.kylin;

import java.util.Collections;
import java.util.List;
import org.apache.kylin.cube.CubeInstance;
import org.apache.kylin.stream.core.model.StreamingMessage;
import org.apache.kylin.stream.core.storage.columnar.ColumnarSegmentStore;

/**
 * A segment that takes all rows of a record at once. Kylin writes its checkpoint down between two messages, so the rows of
 * a record are one message: after a restart a record is read again as a whole, or not at all.
 */
public final class WholeRecords extends ColumnarSegmentStore {
    private static final String OTHERS = "$others";

    public WholeRecords(String folder, CubeInstance cube, String segment) {
        super(folder, cube, segment);
    }

    /** One message of all these rows, which have the same time; at least one. */
    public static StreamingMessage message(List<StreamingMessage> rows) {
        StreamingMessage first = rows.get(0);
        return new StreamingMessage(first.getData(), first.getSourcePosition(), first.getTimestamp(),
                Collections.singletonMap(OTHERS, rows.subList(1, rows.size())));
    }

    @Override
    @SuppressWarnings("unchecked")
    public int addEvent(StreamingMessage message) {
        List<StreamingMessage> others = (List<StreamingMessage>) message.getParams()
                .getOrDefault(OTHERS, Collections.emptyList());
        int kept = super.addEvent(message);
        for (StreamingMessage row : others) {
            kept = super.addEvent(row);
        }
        return kept;
    }
}
