// Asks pgjdbc, as tests/drivers/programs.py says: `java RoundTrip.java text|binary|simple`, the types on standard
// input. "Simple" is the simple protocol, with literals.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.io.PrintStream;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

public class RoundTrip {
    private static final Map<String, String> MODES = Map.of(
        "text", "prepareThreshold=0&binaryTransfer=false",
        "binary", "prepareThreshold=-1&binaryTransfer=true",
        "simple", "preferQueryMode=simple");
    private static final Map<String, Class<?>> CLASSES = Map.of(
        "date", LocalDate.class,
        "time", LocalTime.class,
        "timetz", OffsetTime.class,
        "timestamp", LocalDateTime.class,
        "timestamptz", OffsetDateTime.class);

    /** The simple protocol cannot describe a statement: it would be run again. */
    private static boolean isDescribed;

    private record Kind(String column, String type, int first, int last) {}

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
            + System.getenv("PGDATABASE") + "?sslmode=disable&user=" + System.getenv("PGUSER") + "&"
            + MODES.get(arguments[0]);
        isDescribed = !arguments[0].equals("simple");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (Connection connection = DriverManager.getConnection(url)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] said = line.split("\t");
                Kind kind = new Kind(said[0], said[1], Integer.parseInt(said[2]), Integer.parseInt(said[3]));
                for (String table : List.of("plain", "sealed")) {
                    String answer;
                    try {
                        answer = roundTrip(connection, kind, table);
                    } catch (SQLException | IllegalArgumentException error) {
                        answer = "\"error\": " + quoted(error.toString());
                    }
                    out.println("{\"column\": " + quoted(kind.column) + ", \"table\": " + quoted(table) + ", " + answer + "}");
                }
            }
        }
    }

    private static String roundTrip(Connection connection, Kind kind, String table) throws SQLException {
        String where = " WHERE id BETWEEN " + kind.first + " AND " + kind.last + " ORDER BY id";
        List<Object> seeds = new ArrayList<>();
        read(connection, "SELECT " + kind.column + " FROM seed" + where, kind, seeds);
        String parameter = "";
        String insert = "INSERT INTO " + table + " (id, " + kind.column + ") VALUES (?, ?)";
        try (PreparedStatement statement = connection.prepareStatement(insert)) {
            for (int number = 0; number < seeds.size(); number++) {
                statement.setInt(1, kind.first + number);
                write(statement, seeds.get(number));
                statement.executeUpdate();
            }
            if (isDescribed) {
                parameter = statement.getParameterMetaData().getParameterTypeName(2);
            }
        }
        List<Object> values = new ArrayList<>();
        String declared = read(connection, "SELECT " + kind.column + " FROM " + table + where, kind, values);
        StringBuilder spelled = new StringBuilder();
        for (Object value : values) {
            spelled.append(spelled.isEmpty() ? "" : ", ").append(quoted(spelling(value)));
        }
        return "\"native\": " + quoted(name(values.get(0))) + ", \"values\": [" + spelled + "], \"declared\": "
            + quoted(declared) + ", \"parameter\": " + quoted(parameter);
    }

    private static String read(Connection connection, String query, Kind kind, List<Object> values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(query); ResultSet rows = statement.executeQuery()) {
            Class<?> wanted = CLASSES.get(kind.type);
            while (rows.next()) {
                if (kind.type.equals("bit(4)")) {
                    values.add(rows.getString(1));  // as an object it would be a Boolean
                } else {
                    values.add(wanted == null ? rows.getObject(1) : rows.getObject(1, wanted));
                }
            }
            ResultSetMetaData meta = rows.getMetaData();
            return meta.getColumnTypeName(1) + " " + meta.getColumnType(1) + " " + meta.getColumnClassName(1) + " "
                + meta.getPrecision(1) + " " + meta.getScale(1) + " " + meta.getColumnDisplaySize(1);
        }
    }

    /** A String is sent as varchar, which the server takes for no other type: then its type is left open. */
    private static void write(PreparedStatement statement, Object value) throws SQLException {
        if (value == null) {
            statement.setNull(2, Types.NULL);
        } else if (value instanceof Array array) {
            statement.setArray(2, array);
        } else if (value instanceof String) {
            statement.setObject(2, value, Types.OTHER);
        } else {
            statement.setObject(2, value);
        }
    }

    private static String name(Object value) throws SQLException {
        if (value instanceof Array array) {
            return array.getArray().getClass().getSimpleName();
        }
        return value.getClass().getSimpleName();
    }

    private static String spelling(Object value) throws SQLException {
        if (value instanceof byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        }
        if (value instanceof Array array) {
            Object[] items = (Object[]) array.getArray();
            List<String> spelled = new ArrayList<>();
            for (Object item : items) {
                spelled.add(spelling(item));
            }
            return array.getBaseTypeName() + array.getBaseType() + spelled;
        }
        return value == null ? "null" : value.getClass().getName() + " " + value;
    }

    private static String quoted(String text) {
        StringBuilder made = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            made.append(c < 0x20 || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return made.append('"').toString();
    }
}
