import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.Properties;
import java.util.Scanner;

/** {@code AskAll URL FILE}: asks the statements of a file, parted by lines of ";", and prints each row's cells. */
public final class AskAll {
    public static void main(String[] arguments) throws Exception {
        Properties login = new Properties();
        login.put("user", "ADMIN");
        login.put("password", new Scanner(System.in, "UTF-8").nextLine());
        Class.forName("org.apache.kylin.jdbc.Driver");
        String file = new String(Files.readAllBytes(Paths.get(arguments[1])), StandardCharsets.UTF_8);
        try (Connection connection = java.sql.DriverManager.getConnection(arguments[0], login)) {
            for (String sql : file.split("\n;\n")) {
                System.out.println("--");
                try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
                    int columns = rows.getMetaData().getColumnCount();
                    while (rows.next()) {
                        StringBuilder line = new StringBuilder();
                        for (int at = 1; at <= columns; at++) {
                            line.append(rows.getString(at)).append('\t');
                        }
                        System.out.println(line);
                    }
                }
            }
        }
    }
}
