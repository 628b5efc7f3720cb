package org.apache.kylin.stream.core.storage.columnar;

import java.io.File;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kylin.common.util.ByteArray;
import org.apache.kylin.common.util.Dictionary;
import org.apache.kylin.dict.DictionarySerializer;
import org.apache.kylin.metadata.model.TblColRef;
import org.apache.kylin.stream.core.storage.columnar.protocol.DimDictionaryMetaInfo;
import org.apache.kylin.stream.core.storage.columnar.protocol.FragmentMetaInfo;

/**
 * A fragment file of the receiver, mapped into memory. It is found before Kylin 3.1.3's class of the same name, which frees
 * the mapping by a class that Java has hidden since release 9.
 */
public class FragmentData {
    private final FragmentMetaInfo meta;
    private final MappedByteBuffer bytes;
    private final Map<TblColRef, Dictionary<String>> dictionaries = new ConcurrentHashMap<>();

    public FragmentData(FragmentMetaInfo meta, File file) throws IOException {
        this.meta = meta;
        try (FileChannel channel = FileChannel.open(file.toPath(), StandardOpenOption.READ)) {
            this.bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
        }
    }

    /** Of each column its dictionary; null of one that has none. */
    public Map<TblColRef, Dictionary<String>> getDimensionDictionaries(TblColRef[] columns) {
        Map<TblColRef, Dictionary<String>> found = new HashMap<>();
        for (TblColRef column : columns) {
            found.put(column, dictionaries.computeIfAbsent(column, this::dictionary));
        }
        return found;
    }

    private Dictionary<String> dictionary(TblColRef column) {
        for (DimDictionaryMetaInfo place : meta.getDimDictionaryMetaInfos()) {
            if (place.getDimName().equals(column.getName())) {
                return read(place);
            }
        }
        return null;
    }

    @SuppressWarnings("unchecked") // a fragment's dictionaries are all of texts
    private Dictionary<String> read(DimDictionaryMetaInfo place) {
        ByteBuffer view = bytes.duplicate();
        view.position(place.getStartOffset());
        byte[] content = new byte[place.getDictLength()];
        view.get(content);
        return (Dictionary<String>) (Dictionary<?>) DictionarySerializer.deserialize(new ByteArray(content));
    }

    public FragmentMetaInfo getFragmentMetaInfo() {
        return meta;
    }

    public ByteBuffer getDataReadBuffer() {
        return bytes.asReadOnlyBuffer();
    }

    public int getBufferCapacity() {
        return bytes.capacity();
    }

    public int getSize() {
        return bytes.capacity();
    }

    /** Frees the mapping now; else it would stay until a garbage collection, and the disk's space with it. */
    public void tryForceUnMapBuffer() {
        try {
            Cleaner.FREE.invoke(Cleaner.UNSAFE, bytes);
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException("a fragment cannot be unmapped", error);
        }
    }

    /** sun.misc.Unsafe.invokeCleaner by reflection: these classes are compiled for Java 8, which Spring 4 reads. */
    private static final class Cleaner {
        private static final Object UNSAFE;
        private static final Method FREE;

        static {
            try {
                Class<?> unsafe = Class.forName("sun.misc.Unsafe");
                Field instance = unsafe.getDeclaredField("theUnsafe");
                instance.setAccessible(true);
                UNSAFE = instance.get(null);
                FREE = unsafe.getMethod("invokeCleaner", ByteBuffer.class);
            } catch (ReflectiveOperationException error) {
                throw new ExceptionInInitializerError(error);
            }
        }
    }
}
