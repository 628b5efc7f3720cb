package gradcube.kylin;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.kylin.shaded.com.google.common.hash.HashCode;
import org.apache.kylin.shaded.com.google.common.hash.HashFunction;
import org.apache.kylin.shaded.com.google.common.hash.Hashing;

/**
 * The keys of the rows last read, by 128 bits each: what writes rows may write them again after a failure, within seconds,
 * and a row counts once. Each costs about 100 bytes.
 */
public final class RecentRows {
    private static final int MOST = Integer.getInteger("gradcube.recent.rows", 300_000);
    private static final HashFunction HASH = Hashing.murmur3_128();

    private final Map<HashCode, Boolean> known = new LinkedHashMap<HashCode, Boolean>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<HashCode, Boolean> eldest) {
            return size() > MOST;
        }
    };
    private volatile long repeated;

    public int most() {
        return MOST;
    }

    /** Whether the key is a new one; null is always. */
    public boolean add(Object key) {
        if (key == null || known.put(HASH.hashString(key.toString(), StandardCharsets.UTF_8), true) == null) {
            return true;
        }
        repeated++;
        return false;
    }

    /** Keys of rows that were read before the start are no repetitions. */
    public void startCounting() {
        repeated = 0;
    }

    public long repeated() {
        return repeated;
    }
}
