package gradcube.kylin;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.springframework.security.core.authority.AuthorityUtils;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder;

/**
 * Who may call the server: a file of lines {@code NAME PASSWORD ROLE,ROLE}. It is a file of mode 600 and no argument,
 * because arguments can be read by everybody on the machine.
 */
final class Accounts {
    private static List<User> users = Collections.emptyList();

    private Accounts() {}

    static void read(Path file) throws IOException {
        List<User> found = new ArrayList<>();
        BCryptPasswordEncoder encoder = new BCryptPasswordEncoder();
        for (String line : Files.readAllLines(file, StandardCharsets.UTF_8)) {
            String[] parts = line.trim().split("\\s+");
            if (parts.length != 3) {
                throw new IOException(file + " has a line that is not NAME PASSWORD ROLES");
            }
            found.add(new User(parts[0], encoder.encode(parts[1]),
                    AuthorityUtils.commaSeparatedStringToAuthorityList(parts[2])));
        }
        users = found;
    }

    static List<User> all() {
        return users;
    }
}
