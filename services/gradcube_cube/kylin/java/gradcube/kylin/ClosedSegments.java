package gradcube.kylin;

import java.io.File;
import java.util.Collections;
import org.apache.kylin.stream.core.storage.CheckPoint;
import org.apache.kylin.stream.core.storage.CheckPointStore;

/**
 * Keeps closed segments over a start at which no segment was open. Kylin's checkpoint lists the open ones; an empty list it
 * takes for no checkpoint at all, deletes the closed ones too, and goes on reading behind their rows.
 */
final class ClosedSegments {
    private static final long NO_SEGMENT = 0L; // segments are named after the time of their window, which is never 1970

    private ClosedSegments() {}

    static void keep(String indexFolder) {
        File[] cubes = new File(indexFolder).listFiles(File::isDirectory);
        for (File cube : cubes == null ? new File[0] : cubes) {
            CheckPointStore store = new CheckPointStore(cube.getName(), cube);
            CheckPoint checkpoint = store.getLatestCheckPoint();
            if (checkpoint != null && checkpoint.getPersistedIndexes().isEmpty()) {
                checkpoint.setPersistedIndexes(Collections.singletonMap(NO_SEGMENT, "0"));
                store.saveCheckPoint(checkpoint);
            }
        }
    }
}
