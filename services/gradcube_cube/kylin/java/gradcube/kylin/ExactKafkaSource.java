package gradcube.kylin;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kylin.cube.CubeSegment;
import org.apache.kylin.stream.core.consumer.ConsumerStartMode;
import org.apache.kylin.stream.core.consumer.ConsumerStartProtocol;
import org.apache.kylin.stream.core.consumer.IStreamingConnector;
import org.apache.kylin.stream.core.source.Partition;
import org.apache.kylin.stream.core.storage.StreamingSegmentManager;
import org.apache.kylin.stream.core.storage.columnar.ColumnarStoreCache;
import org.apache.kylin.stream.source.kafka.KafkaPosition;
import org.apache.kylin.stream.source.kafka.KafkaSource;
import org.apache.kylin.stream.source.kafka.consumer.KafkaConnector;

/**
 * Where a receiver begins to read a cube's topic after a start, so that each row counts once. Of Kylin's source three
 * things are mended: a checkpoint that names only the partitions read since the start, fragments of a former life of the
 * cube, and a built segment's position, which is the next row while a checkpoint's is the last one.
 */
public final class ExactKafkaSource extends KafkaSource {
    @Override
    public IStreamingConnector createStreamingConnector(String cube, List<Partition> partitions, ConsumerStartProtocol start,
            StreamingSegmentManager segments) {
        IStreamingConnector connector = super.createStreamingConnector(cube, partitions, start, segments);
        ((KafkaConnector) connector).passOverRepeated(new RecentRows(), segments.getConsumePosition());
        SegmentAges.restore(segments);
        String checkpoint = segments.getCheckPointSourcePosition();
        if (checkpoint == null) {
            forgetFragments();
        } else if (start == null) {
            // Else the next checkpoint would know only what was read since, and the start after it read the rest again.
            segments.restoreConsumerStates(getSourcePositionHandler().parsePosition(checkpoint));
            goOnBehindBoth(connector, partitions, checkpoint, segments.getCubeInstance().getLatestReadySegment());
        }
        return connector;
    }

    /** A cube that begins anew numbers its fragments from 1 again, and Kylin's cache knows them by number. */
    private static void forgetFragments() {
        ColumnarStoreCache cache = ColumnarStoreCache.getInstance();
        cache.removeFragmentsCache(new ArrayList<>(cache.fragmentDataCache.asMap().keySet()));
    }

    /** Kylin takes the larger of the two numbers: the row behind the last one read would be the last one read. */
    private void goOnBehindBoth(IStreamingConnector connector, List<Partition> partitions, String lastRead, CubeSegment built) {
        if (built == null || built.getStreamSourceCheckpoint() == null) {
            return;
        }
        Map<Integer, Long> next = new HashMap<>(offsets(built.getStreamSourceCheckpoint()));
        offsets(lastRead).forEach((partition, offset) -> next.merge(partition, offset + 1, Math::max));
        ((KafkaConnector) connector).setStartPartition(partitions, ConsumerStartMode.SPECIFIC_POSITION, next);
    }

    private Map<Integer, Long> offsets(String position) {
        return ((KafkaPosition) getSourcePositionHandler().parsePosition(position)).getPartitionOffsets();
    }
}
