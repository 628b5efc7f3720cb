package gradcube.kylin;

import java.io.IOException;
import java.util.Map;
import java.util.TreeMap;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.apache.kylin.common.util.JsonUtil;
import org.apache.kylin.stream.core.storage.StreamingSegmentManager;
import org.apache.kylin.stream.server.StreamingServer;

/**
 * {@code GET /kylin/api/gradcube/segments}: of each cube, where its segments are. Kylin's own statistics say it too, and ask
 * Kafka each time; whoever must know whether a segment moved while he asked for its rows needs it quicker.
 */
final class SegmentsServlet extends HttpServlet {
    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        Map<String, Map<String, String>> cubes = new TreeMap<>();
        for (StreamingSegmentManager manager : StreamingServer.getInstance().getAllCubeSegmentManagers()) {
            Map<String, String> states = new TreeMap<>();
            manager.getAllSegments().forEach(one -> states.put(one.getSegmentName(), one.getState().name()));
            cubes.put(manager.getCubeInstance().getName(), states);
        }
        response.setContentType("application/json");
        response.getOutputStream().write(JsonUtil.writeValueAsBytes(cubes));
    }
}
