package gradcube.kylin;

import java.lang.reflect.Field;
import org.apache.kylin.stream.core.storage.StreamingCubeSegment;
import org.apache.kylin.stream.core.storage.StreamingSegmentManager;

/**
 * How old the closed segments of a receiver are after its start: as old as their rows. Kylin counts from the start, so
 * that a receiver which is started now and then would keep what a cube's retention says is to go.
 */
final class SegmentAges {
    private SegmentAges() {}

    static void restore(StreamingSegmentManager segments) {
        try {
            Field created = StreamingCubeSegment.class.getDeclaredField("createTime");
            created.setAccessible(true);
            for (StreamingCubeSegment segment : segments.getAllSegments()) {
                created.setLong(segment, Math.min(segment.getCreateTime(), segment.getDateRangeEnd()));
            }
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException("Kylin's segments have no createTime: is this 3.1.3?", error);
        }
    }
}
