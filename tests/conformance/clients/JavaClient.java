import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import javax.sql.DataSource;

/**
 * One script, two JDBC drivers: prints what the driver sees, a JSON line a step.
 *
 * <p>JavaClient DRIVER HOST PORT USER PASSWORD TLS MODE DATABASE STEPS. DRIVER mariadb or mysql; TLS
 * 0 or 1; MODE text, prepared, or cursor (prepared, cached, rows fetched in small batches, and
 * MySQL's driver rewrites batches); STEPS is the path of everything.steps or ml.steps.
 * The connection is compressed where $COMPRESS is set.
 */
public final class JavaClient {
  private static final String BIG = "x".repeat(9_000_000) + "é".repeat(4_000_000);

  private static String driver;
  private static String url;
  private static String user;
  private static boolean tls;
  private static String mode;
  private static Connection connection;

  public static void main(String[] args) throws Exception {
    driver = args[0];
    url = String.format("jdbc:%s://%s:%s/%s", driver, args[1], args[2], args[7]);
    user = args[3];
    String password = args[4];
    tls = args[5].equals("1");
    mode = args[6];
    try {
      connect(password + "wrong");
    } catch (SQLException error) {
      show("wrong password", fault(error));
    }
    try {
      connection = connect(password);
    } catch (SQLException error) {
      show("log in", fault(error));
      return;
    }
    show("client", "\"version\": " + quote(connection.getMetaData().getDriverVersion()));
    for (String paragraph : Files.readString(Path.of(args[8])).split("\n\n")) {
      List<String> lines = new ArrayList<>(Arrays.asList(paragraph.split("\n")));
      lines.removeIf(line -> line.isEmpty() || line.startsWith("#"));
      if (!lines.isEmpty()) {
        take(lines, password);
      }
    }
    connection.close();
    show("closed", "\"ok\": true");
  }

  private static void take(List<String> lines, String password) throws Exception {
    String[] head = lines.remove(0).split(" ", 2);
    String name = head[head.length - 1];
    List<String[]> words = new ArrayList<>();
    List<String> sql = new ArrayList<>();
    for (String line : lines) {
      if (line.startsWith("> ")) {
        words.add(line.substring(2).split(" ", 2));
      } else {
        sql.add(line);
      }
    }
    try {
      run(head[0], name, String.join("\n", sql), words, password);
    } catch (SQLException error) {
      show(name, fault(error));
    }
  }

  private static void run(
      String kind, String name, String sql, List<String[]> words, String password)
      throws Exception {
    switch (kind) {
      case "rows":
        if (!mode.equals("cursor") || !name.equals("error after rows")) {
          query(name, sql, arguments(words));
        } else {
          show(name, "\"left out\": \"Connector/J 8 loses its place after it\"");
        }
        break;
      case "digest":
        digest(name, sql, arguments(words));
        break;
      case "change":
      case "text":
        update(name, sql, arguments(words));
        break;
      case "call":
      case "multi":
        results(name, sql);
        break;
      case "batch":
        batch(name, sql, Integer.parseInt(words.get(0)[0]), Integer.parseInt(words.get(0)[1]));
        break;
      case "begin":
        connection.setAutoCommit(false);
        break;
      case "rollback":
        connection.rollback();
        connection.setAutoCommit(true);
        break;
      case "commit":
        connection.setAutoCommit(true);
        break;
      case "reset":
        show("reset", "\"how\": " + quote(reset(password)));
        break;
      default:
        throw new IllegalArgumentException(kind);
    }
  }

  private static Object[] arguments(List<String[]> words) {
    return words.stream().map(JavaClient::argument).toArray();
  }

  private static Object argument(String[] word) {
    String value = word.length > 1 ? word[1] : "";
    switch (word[0]) {
      case "i":
        return Long.valueOf(value);
      case "f":
        return Double.valueOf(value);
      case "d":
        return new BigDecimal(value);
      case "b":
        byte[] bytes = new byte[value.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
          bytes[i] = (byte) Integer.parseInt(value.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
      case "null":
        return null;
      case "big":
        return BIG;
      default:
        return value;
    }
  }

  private static Connection connect(String password) throws SQLException {
    Properties options = options();
    options.put("user", user);
    options.put("password", password);
    return DriverManager.getConnection(url, options);
  }

  private static Properties options() {
    Properties options = new Properties();
    options.put("allowMultiQueries", "true");
    options.put("useCompression", String.valueOf(System.getenv("COMPRESS") != null));
    options.put("allowPublicKeyRetrieval", "true");
    options.put("useServerPrepStmts", String.valueOf(!mode.equals("text")));
    if (mode.equals("cursor")) {
      options.put("cachePrepStmts", "true");
      options.put("useCursorFetch", "true");
      options.put("defaultFetchSize", "100");
      // With it, MariaDB's driver prepares nothing on the server.
      options.put("rewriteBatchedStatements", String.valueOf(driver.equals("mysql")));
    }
    if (driver.equals("mysql")) {
      options.put("sslMode", tls ? "REQUIRED" : "DISABLED");
      options.put("connectionTimeZone", "UTC");
    } else {
      options.put("useSSL", String.valueOf(tls));
      options.put("trustServerCertificate", "true");
    }
    return options;
  }

  /** MariaDB's driver has a pool; MySQL's has COM_RESET_CONNECTION for those of others. */
  private static String reset(String password) throws Exception {
    if (driver.equals("mysql")) {
      Class<?> type = Class.forName("com.mysql.cj.jdbc.JdbcConnection");
      type.getMethod("resetServerState").invoke(connection);
      return "resetServerState()";
    }
    StringBuilder poolUrl = new StringBuilder(url).append("?maxPoolSize=1&useResetConnection=true");
    options().forEach((key, value) -> poolUrl.append('&').append(key).append('=').append(value));
    Class<?> type = Class.forName("org.mariadb.jdbc.MariaDbPoolDataSource");
    DataSource pool = (DataSource) type.getConstructor(String.class).newInstance(poolUrl.toString());
    connection.close();
    connection = pool.getConnection(user, password);
    try (Statement statement = connection.createStatement()) {
      statement.execute("SET @kept = 1");
      statement.execute("CREATE TEMPORARY TABLE kept (i INT)");
    }
    connection.close();
    connection = pool.getConnection(user, password);
    return "MariaDbPoolDataSource(useResetConnection=true)";
  }

  private static PreparedStatement prepare(String sql, Object... values) throws SQLException {
    PreparedStatement statement = connection.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS);
    for (int i = 0; i < values.length; i++) {
      statement.setObject(i + 1, values[i]);
    }
    return statement;
  }

  private static void query(String step, String sql, Object... values) {
    try (PreparedStatement statement = prepare(sql, values);
        ResultSet rows = statement.executeQuery()) {
      StringBuilder seen = new StringBuilder(rows(rows));
      for (SQLWarning w = statement.getWarnings(); w != null; w = w.getNextWarning()) {
        seen.append(", \"warning ").append(w.getErrorCode()).append("\": ").append(quote(w.getMessage()));
      }
      show(step, seen.toString());
    } catch (SQLException error) {
      show(step, fault(error));
    }
  }

  private static void update(String step, String sql, Object... values) {
    try (PreparedStatement statement = prepare(sql, values)) {
      int affected = statement.executeUpdate();
      try (ResultSet keys = statement.getGeneratedKeys()) {
        show(step, "\"affected\": " + affected + ", \"keys\": {" + rows(keys) + "}");
      }
    } catch (SQLException error) {
      show(step, fault(error));
    }
  }

  private static void results(String step, String sql) {
    List<String> seen = new ArrayList<>();
    String end = "";
    try (Statement statement = connection.createStatement()) {
      boolean isRows = statement.execute(sql);
      while (isRows || statement.getUpdateCount() >= 0) {
        if (isRows) {
          try (ResultSet rows = statement.getResultSet()) {
            seen.add("{" + rows(rows) + "}");
          }
        } else {
          seen.add(String.valueOf(statement.getUpdateCount()));
        }
        isRows = statement.getMoreResults();
      }
    } catch (SQLException error) {
      end = ", " + fault(error);
    }
    show(step, "\"results\": " + seen + end);
  }

  private static void batch(String step, String sql, int from, int to) {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (int n = from; n < to; n++) {
        statement.setString(1, "batch " + n);
        statement.setInt(2, n);
        statement.addBatch();
      }
      List<String> counts = new ArrayList<>();
      for (int count : statement.executeBatch()) {
        counts.add(String.valueOf(count));
      }
      show(step, "\"counts\": " + counts);
    } catch (SQLException error) {
      show(step, fault(error));
    }
  }

  private static void digest(String step, String sql, Object... values) throws Exception {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    int count = 0;
    long size = 0;
    try (PreparedStatement statement = prepare(sql, values);
        ResultSet rows = statement.executeQuery()) {
      int columns = rows.getMetaData().getColumnCount();
      while (rows.next()) {
        count++;
        for (int i = 1; i <= columns; i++) {
          byte[] value = rows.getString(i).getBytes(StandardCharsets.UTF_8);
          size += value.length;
          digest.update(value);
        }
      }
      show(step, "\"count\": " + count + ", \"size\": " + size + ", \"digest\": \"" + hex(digest.digest()) + "\"");
    } catch (SQLException error) {
      show(step, fault(error));
    }
  }

  private static String rows(ResultSet rows) throws SQLException {
    ResultSetMetaData meta = rows.getMetaData();
    List<String> columns = new ArrayList<>();
    for (int i = 1; i <= meta.getColumnCount(); i++) {
      columns.add(
          quote(
              String.join(
                  " ", meta.getColumnLabel(i), meta.getColumnTypeName(i), meta.getTableName(i),
                  String.valueOf(meta.getPrecision(i)), String.valueOf(meta.getScale(i)),
                  String.valueOf(meta.isNullable(i)))));
    }
    List<String> found = new ArrayList<>();
    while (rows.next()) {
      List<String> row = new ArrayList<>();
      for (int i = 1; i <= meta.getColumnCount(); i++) {
        Object value = rows.getObject(i);
        if (value instanceof byte[]) {
          value = "bytes " + hex((byte[]) value);
        }
        row.add(value == null ? "null" : quote(value.toString()));
      }
      found.add(row.toString());
    }
    return "\"columns\": " + columns + ", \"rows\": " + found;
  }

  private static String fault(SQLException error) {
    return String.format(
        "\"error\": %d, \"state\": %s, \"class\": %s, \"message\": %s",
        error.getErrorCode(), quote(error.getSQLState()), quote(error.getClass().getSimpleName()),
        quote(error.getMessage()));
  }

  private static void show(String step, String values) {
    byte[] line = ("{\"step\": " + quote(step) + ", " + values + "}\n").getBytes(StandardCharsets.UTF_8);
    System.out.write(line, 0, line.length);
    System.out.flush();
  }

  private static String hex(byte[] bytes) {
    StringBuilder hex = new StringBuilder();
    for (byte b : bytes) {
      hex.append(String.format("%02x", b));
    }
    return hex.toString();
  }

  private static String quote(String text) {
    if (text == null) {
      return "null";
    }
    StringBuilder quoted = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') {
        quoted.append('\\').append(c);
      } else if (c < ' ') {
        quoted.append(String.format("\\u%04x", (int) c));
      } else {
        quoted.append(c);
      }
    }
    return quoted.append('"').toString();
  }
}
