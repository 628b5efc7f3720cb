package gradcube.kylin;

import java.net.InetSocketAddress;
import java.nio.file.Paths;
import java.util.EnumSet;
import javax.servlet.DispatcherType;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.FilterHolder;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;
import org.springframework.web.context.ContextLoaderListener;
import org.springframework.web.context.support.AnnotationConfigWebApplicationContext;
import org.springframework.web.filter.DelegatingFilterProxy;
import org.springframework.web.servlet.DispatcherServlet;

/**
 * Kylin's server for queries, jobs and the coordinator, from its published classes alone: the war that usually wires them
 * up is not published. What its XML files say is said by {@link Services}, {@link JsonAnswers} and {@link Access}.
 *
 * <p>{@code java -DKYLIN_CONF=folder -DKYLIN_HOME=folder gradcube.kylin.ServerMain HOST PORT ACCOUNTS_FILE}. It ends with 1
 * when Spring could not start, and with the signal's code after SIGTERM.
 */
public final class ServerMain {
    private ServerMain() {}

    public static void main(String[] arguments) throws Exception {
        Accounts.read(Paths.get(arguments[2]));
        ServletContextHandler kylin = kylin();
        Server server = new Server(new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1])));
        server.setHandler(kylin);
        server.setStopAtShutdown(true);
        server.start();
        if (!kylin.isAvailable()) {
            System.exit(1); // Kylin's threads would keep a process alive that answers nothing
        }
        server.join();
    }

    private static ServletContextHandler kylin() {
        AnnotationConfigWebApplicationContext spring = new AnnotationConfigWebApplicationContext();
        spring.getEnvironment().setActiveProfiles("testing"); // Kylin's name for: users are a list, not a directory
        spring.register(Services.class, JsonAnswers.class, Access.class);

        ServletContextHandler handler = new ServletContextHandler(ServletContextHandler.SESSIONS);
        handler.setContextPath("/kylin");
        handler.addEventListener(new ContextLoaderListener(spring));
        DelegatingFilterProxy security = new DelegatingFilterProxy("springSecurityFilterChain");
        handler.addFilter(new FilterHolder(security), "/*", EnumSet.allOf(DispatcherType.class));
        handler.addServlet(new ServletHolder(new DispatcherServlet(spring)), "/api/*");
        return handler;
    }
}
