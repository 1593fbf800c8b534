import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
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
import java.util.List;
import java.util.Properties;

/**
 * One script, two JDBC drivers: prints what the driver sees, a JSON line a step.
 *
 * <p>JavaClient DRIVER HOST PORT USER PASSWORD TLS MODE DATABASE STEPS. DRIVER mariadb or mysql; TLS
 * 0 or 1; MODE text, prepared, or cursor (prepared, rows fetched in small batches, batches
 * rewritten); STEPS all or ml.
 */
public final class JavaClient {
  private static final String CREATE =
      "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(200), n INT, d DECIMAL(10,3),"
          + " f DOUBLE, w DATETIME(6), b BLOB, big LONGTEXT, u BIGINT UNSIGNED, UNIQUE (n))"
          + " CHARACTER SET utf8mb4";
  private static final String INSERT = "INSERT INTO t (s, n, d, f, w, b, u) VALUES (?, ?, ?, ?, ?, ?, ?)";
  private static final String PROCEDURE =
      "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT s FROM t ORDER BY id; UPDATE t SET s = 'p' WHERE n = 2; END";
  private static final String DIGITS =
      "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4"
          + " UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7)";
  private static final String MANY_ROWS =
      String.format(
          "SELECT a.d + 8*b.d + 64*c.d + 512*e.d AS n, REPEAT('row ', a.d) FROM %1$s a, %1$s b, %1$s c, %1$s e ORDER BY n",
          DIGITS);
  private static final String ML =
      "SELECT id, aws_comprehend_detect_sentiment(user_feedback, 'en') AS sentiment\nFROM feedback ORDER BY id";

  private static String mode;
  private static Connection connection;

  public static void main(String[] args) throws Exception {
    String driver = args[0];
    String user = args[3];
    String password = args[4];
    boolean tls = args[5].equals("1");
    mode = args[6];
    String url =
        String.format("jdbc:%s://%s:%s/%s", driver, args[1], args[2], args[7]);
    if (args[8].equals("ml")) {
      connection = connect(driver, url, user, password, tls);
      query("ml", ML);
    } else {
      try {
        connect(driver, url, user, password + "wrong", tls);
      } catch (SQLException error) {
        show("wrong password", fault(error));
      }
      try {
        connection = connect(driver, url, user, password, tls);
      } catch (SQLException error) {
        show("log in", fault(error));
        return;
      }
      query("version", "SELECT VERSION(), USER(), CURRENT_USER(), DATABASE()");
      try (Statement statement = connection.createStatement();
          ResultSet rows = statement.executeQuery("SHOW STATUS LIKE 'Ssl_cipher'")) {
        rows.next();
        // The cipher of the proxy's leg to the server is not that of the client's.
        show("tls", "\"used\": " + !rows.getString(2).isEmpty());
      }
      everything();
    }
    connection.close();
    show("closed", "\"ok\": true");
  }

  private static Connection connect(
      String driver, String url, String user, String password, boolean tls) throws SQLException {
    Properties options = new Properties();
    options.put("user", user);
    options.put("password", password);
    options.put("allowMultiQueries", "true");
    options.put("allowPublicKeyRetrieval", "true");
    options.put("useServerPrepStmts", String.valueOf(!mode.equals("text")));
    options.put("cachePrepStmts", "true");
    if (mode.equals("cursor")) {
      options.put("useCursorFetch", "true");
      options.put("defaultFetchSize", "100");
      options.put("rewriteBatchedStatements", "true");
    }
    if (driver.equals("mysql")) {
      options.put("sslMode", tls ? "REQUIRED" : "DISABLED");
      options.put("connectionTimeZone", "UTC");
    } else {
      options.put("useSSL", String.valueOf(tls));
      options.put("trustServerCertificate", "true");
    }
    return DriverManager.getConnection(url, options);
  }

  private static void everything() throws Exception {
    update("create", CREATE);
    String text = "Grüße, 世界 🎉 \\ ' \" % ;";
    byte[] bytes = {0, (byte) 255, 39, 92};
    update("insert", INSERT, text, 1, new BigDecimal("1234.500"), 1.25, "2026-02-28 23:59:58.123456", bytes, Long.MAX_VALUE);
    update("insert", INSERT, null, null, null, null, null, null, null);
    update("insert", INSERT, "", 2, new BigDecimal("-0.001"), -1e300, "2026-02-28 23:59:58", new byte[0], 0L);
    update("insert many", "INSERT INTO t (n) VALUES (?), (?), (?)", 10, 11, 12);
    query("select", "SELECT * FROM t ORDER BY id");
    query("select one", "SELECT s, n FROM t WHERE n = ?", 1);
    query("select none", "SELECT s, n FROM t WHERE n = ?", 404);
    query("select again", "SELECT s, n FROM t WHERE n = ?", 2);
    query("expressions", "SELECT 1 AS one, 'a', NULL, 2.50, 3 > 0, ?", "é");
    update("update", "UPDATE t SET s = ? WHERE n >= ?", "changed", 10);
    update("update the same", "UPDATE t SET s = ? WHERE n >= ?", "changed", 10);
    query("warning", "SELECT CAST('1x' AS SIGNED)");

    connection.setAutoCommit(false);
    update("rolled back", "DELETE FROM t");
    connection.rollback();
    query("rows after rollback", "SELECT COUNT(*) FROM t");
    update("committed", "DELETE FROM t WHERE n = ?", 12);
    connection.commit();
    connection.setAutoCommit(true);
    query("rows after commit", "SELECT COUNT(*) FROM t");

    update("duplicate key", "INSERT INTO t (n) VALUES (?)", 1);
    query("no such table", "SELECT * FROM nowhere");
    query("syntax error", "SELEKT 'é'");
    if (!mode.equals("cursor")) { // Connector/J 8 loses its place after it
      query("error after rows", "SELECT id, (SELECT id FROM t LIMIT 2) FROM t");
    }

    update("procedure", PROCEDURE);
    results("call", "CALL p()");
    results("multi", "SELECT 1; UPDATE t SET n = 77 WHERE n = 11; SELECT 'é'");
    results("multi with an error", "SELECT 1; SELECT * FROM nowhere; SELECT 2");
    query("after multi", "SELECT 'still here'");
    batch("batch", "INSERT INTO t (s, n) VALUES (?, ?)", 200, 300);
    batch("batch with an error", "INSERT INTO t (s, n) VALUES (?, ?)", 295, 310);
    query("rows after batch", "SELECT COUNT(*), MIN(n), MAX(n) FROM t");

    String big = "x".repeat(9_000_000) + "é".repeat(4_000_000);
    update("big insert", "INSERT INTO t (n, big) VALUES (?, ?)", 1000, big);
    digest("big select", "SELECT n, big, 'after' FROM t WHERE n = 1000");
    digest("many rows", MANY_ROWS);
    query("metadata", "SELECT COUNT(*) FROM t");
    try (ResultSet columns = connection.getMetaData().getColumns(null, null, "t", "%")) {
      show("columns", rows(columns));
    } catch (SQLException error) {
      show("columns", fault(error));
    }
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

  private static void digest(String step, String sql) throws Exception {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    int count = 0;
    long size = 0;
    try (PreparedStatement statement = prepare(sql);
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
