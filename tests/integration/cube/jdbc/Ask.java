import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.Properties;

/** Asks a gateway through Kylin's own driver and prints what came, one "topic: ..." line each; the password comes by stdin. */
public final class Ask {
    private static final String COUNT = "select count(*) from FACTS where ";

    public static void main(String[] arguments) throws Exception {
        String password = new String(System.in.readAllBytes(), "UTF-8").trim();
        try (Connection kylin = connect(arguments[0], password)) {
            statements(kylin);
            prepared(kylin);
            metadata(kylin);
            limits(kylin);
            refusals(kylin);
        }
        refused("wrong password", () -> connect(arguments[0], "canary").createStatement().executeQuery("select 1"));
        refused("unknown project", () -> connect(arguments[0] + "x", password).createStatement().executeQuery("select 1"));
    }

    private static Connection connect(String url, String password) throws SQLException {
        Properties login = new Properties();
        login.put("user", "ADMIN");
        login.put("password", password);
        return DriverManager.getConnection(url, login);
    }

    private static void statements(Connection kylin) throws SQLException {
        try (Statement statement = kylin.createStatement()) {
            show("types", statement.executeQuery(
                "select JOB, TS, DAY_START, WINDOW_SECONDS, SAMPLES, METRIC_VALUE, METRIC_VALUE > 1, 1.50 as EXACT, NODE || null"
                    + " from FACTS where METRIC_VALUE = 3"));
            show("odd", statement.executeQuery("select JOB, METRIC_VALUE from FACTS where METRIC_VALUE > 1000"));
            show("empty", statement.executeQuery("select JOB from FACTS where JOB = 'nobody'"));
            show("group", statement.executeQuery(
                "select METRIC, count(*) as N, max(MINUTE_START) as M from FACTS group by METRIC order by 1;"));
        }
        try (Statement statement = kylin.createStatement();
                ResultSet row = statement.executeQuery("select TS, DAY_START, SAMPLES, METRIC_VALUE, JOB from FACTS where METRIC_VALUE = 3")) {
            row.next();
            System.out.println("getters: " + row.getTimestamp("TS") + " " + row.getDate(2) + " " + row.getLong(3) + " "
                + row.getInt("SAMPLES") + " " + row.getDouble("METRIC_VALUE") + " " + row.getString(5) + " " + row.wasNull()
                + " " + row.next());
        }
    }

    private interface Binding {
        void to(PreparedStatement statement) throws SQLException;
    }

    private static void prepared(Connection kylin) throws SQLException {
        bound(kylin, "int", "SAMPLES = ?", one -> one.setInt(1, 5));
        bound(kylin, "long", "SAMPLES = ?", one -> one.setLong(1, 5L));
        bound(kylin, "short", "SAMPLES = ?", one -> one.setShort(1, (short) 5));
        bound(kylin, "byte", "SAMPLES = ?", one -> one.setByte(1, (byte) 5));
        bound(kylin, "double", "METRIC_VALUE < ?", one -> one.setDouble(1, 9.5));
        bound(kylin, "float", "METRIC_VALUE < ?", one -> one.setFloat(1, 9.5f));
        bound(kylin, "decimal", "METRIC_VALUE < ?", one -> one.setBigDecimal(1, new BigDecimal("9.50")));
        bound(kylin, "string", "JOB = ?", one -> one.setString(1, "bert"));
        bound(kylin, "odd string", "JOB = ?", one -> one.setString(1, "it's 50% größer; -- 😀 ? :x"));
        bound(kylin, "boolean", "(METRIC_VALUE < 10) = ?", one -> one.setBoolean(1, true));
        bound(kylin, "timestamp", "TS < ?", one -> one.setTimestamp(1, Timestamp.valueOf("2026-11-24 04:01:00")));
        bound(kylin, "date", "DAY_START = ?", one -> one.setDate(1, Date.valueOf("2026-11-24")));
        bound(kylin, "object", "METRIC_VALUE < ? and JOB = ?", one -> {
            one.setObject(1, 9.5);
            one.setObject(2, "bert");
        });
        try (PreparedStatement statement = kylin.prepareStatement(COUNT + "METRIC_VALUE < ?")) {
            for (int most : new int[] {10, 20}) {
                statement.setInt(1, most);
                show("again", statement.executeQuery());
            }
        }
    }

    private static void bound(Connection kylin, String topic, String condition, Binding binding) throws SQLException {
        try (PreparedStatement statement = kylin.prepareStatement(COUNT + condition)) {
            binding.to(statement);
            show("bound " + topic, statement.executeQuery());
        } catch (SQLException | RuntimeException error) {
            System.out.println("bound " + topic + ": " + error);
        }
    }

    private static void metadata(Connection kylin) throws SQLException {
        show("tables", kylin.getMetaData().getTables(null, null, "%", null));
        show("tables of schema", kylin.getMetaData().getTables(null, "DEFAULT", "FACTS", new String[] {"TABLE"}));
        show("schemas", kylin.getMetaData().getSchemas());
        show("catalogs", kylin.getMetaData().getCatalogs());
        try (ResultSet columns = kylin.getMetaData().getColumns(null, "DEFAULT", "FACTS", "%")) {
            while (columns.next()) {
                System.out.println("column: " + columns.getInt("ORDINAL_POSITION") + " " + columns.getString("COLUMN_NAME") + " "
                    + columns.getInt("DATA_TYPE") + " " + columns.getString("TYPE_NAME") + " " + columns.getString("IS_NULLABLE"));
            }
        }
    }

    private static void limits(Connection kylin) throws SQLException {
        try (Statement statement = kylin.createStatement()) {
            System.out.println("all rows: " + rows(statement.executeQuery("select METRIC_VALUE from FACTS")));
            statement.setMaxRows(5);
            System.out.println("most rows: " + rows(statement.executeQuery("select METRIC_VALUE from FACTS")));
        }
    }

    private static void refusals(Connection kylin) {
        for (String sql : new String[] {"select NOPE from FACTS", "select * from NOWHERE", "drop table FACTS", "select count( from FACTS"}) {
            refused(sql, () -> kylin.createStatement().executeQuery(sql));
        }
    }

    private interface Attempt {
        Object make() throws SQLException;
    }

    private static void refused(String topic, Attempt attempt) {
        try {
            attempt.make();
            System.out.println("refused " + topic + ": no, it was answered");
        } catch (SQLException error) {
            System.out.println("refused " + topic + ": " + (error.getMessage() + " " + error.getCause()).replace("\n", " "));
        }
    }

    private static int rows(ResultSet result) throws SQLException {
        int count = 0;
        while (result.next()) {
            count++;
        }
        return count;
    }

    private static void show(String topic, ResultSet result) throws SQLException {
        ResultSetMetaData columns = result.getMetaData();
        int rows = 0;
        for (; result.next(); rows++) {
            StringBuilder line = new StringBuilder(topic + ":");
            for (int i = 1; i <= columns.getColumnCount(); i++) {
                Object value = result.getObject(i);
                line.append(" | ").append(columns.getColumnLabel(i)).append(" ").append(columns.getColumnTypeName(i)).append(" ")
                    .append(value == null ? "null" : value.getClass().getSimpleName() + " " + value);
            }
            System.out.println(line);
        }
        System.out.println(topic + ": " + rows + " rows");
        result.close();
    }
}
