package gradcube.kylin;

import java.lang.reflect.Field;
import java.net.InetSocketAddress;
import java.util.Collections;
import org.apache.kylin.common.KylinConfig;
import org.apache.kylin.common.util.ImplementationSwitch;
import org.apache.kylin.stream.core.source.IStreamingSource;
import org.apache.kylin.stream.core.source.StreamingSourceFactory;
import org.apache.kylin.stream.server.StreamingServer;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;
import org.springframework.web.context.support.XmlWebApplicationContext;
import org.springframework.web.servlet.DispatcherServlet;

/**
 * Kylin's receiver with the errors of 3.1.3 mended by which it counts wrongly: see {@link ExactKafkaSource},
 * {@link ClosedSegments} and, in Kylin's own packages before its jars, KafkaConnector and FragmentData.
 *
 * <p>It stands for Kylin's StreamingReceiver, which listens on every address of the machine, answers SQL there without
 * asking who it is, and lists its log folder.
 *
 * <p>{@code java -DKYLIN_CONF=folder -DKYLIN_HOME=folder gradcube.kylin.ReceiverMain HOST PORT}
 */
public final class ReceiverMain {
    private static final int KAFKA = 20; // ISourceAware.ID_KAFKA_STREAMING

    private ReceiverMain() {}

    public static void main(String[] arguments) throws Exception {
        replaceKafkaSource();
        ClosedSegments.keep(KylinConfig.getInstanceFromEnv().getStreamingIndexPath());
        try {
            StreamingServer.getInstance().start();
            Server server = new Server(new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1])));
            server.setHandler(api());
            server.start();
            server.join();
        } catch (Exception error) {
            error.printStackTrace();
            System.exit(1); // its threads would keep a process alive that answers nothing
        }
    }

    /** There is no setting for it: the factory has a private map of kinds to class names. */
    private static void replaceKafkaSource() throws ReflectiveOperationException {
        Field sources = StreamingSourceFactory.class.getDeclaredField("sources");
        sources.setAccessible(true);
        sources.set(null, new ImplementationSwitch<>(
                Collections.singletonMap(KAFKA, ExactKafkaSource.class.getName()), IStreamingSource.class));
    }

    private static ServletContextHandler api() {
        XmlWebApplicationContext spring = new XmlWebApplicationContext();
        spring.setConfigLocation("classpath:applicationContext.xml"); // of Kylin's jar: the receiver's controllers
        spring.refresh();
        ServletContextHandler handler = new ServletContextHandler();
        handler.setContextPath("/kylin");
        handler.addServlet(new ServletHolder(new DispatcherServlet(spring)), "/api/*");
        handler.addServlet(new ServletHolder(new SegmentsServlet()), "/api/gradcube/segments");
        return handler;
    }
}
