"""One script for the command lines: prints what they print, a JSON line a step.

command_line.py DRIVER HOST PORT USER PASSWORD TLS MODE DATABASE STEPS
    DRIVER is mariadb, mysql or mycli; TLS 0 or 1; MODE text
    STEPS is the path of everything.steps or ml.steps: which of the two is what counts
    $COMPRESS, where it is set, names the algorithm
    $COMMAND_LINE has the words of its command, $DUMP those of its dump program, if it
    has one, as JSON lists.
The names of the steps are those of everything.steps and ml.steps, as far as they go.
"""

import atexit
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

DRIVER, HOST, PORT, USER, PASSWORD, TLS, MODE, DATABASE, STEPS = sys.argv[1:10]

HOME = tempfile.mkdtemp()
atexit.register(shutil.rmtree, HOME)

TLS_OPTIONS = {
    ("mariadb", "0"): ["--skip-ssl"],
    ("mariadb", "1"): ["--ssl", "--skip-ssl-verify-server-cert"],
    ("mysql", "0"): ["--ssl-mode=DISABLED", "--get-server-public-key"],
    ("mysql", "1"): ["--ssl-mode=REQUIRED"],
    ("mycli", "0"): ["--ssl-mode=off"],
    ("mycli", "1"): ["--ssl-mode=on"],
}
OPTIONS = {
    "mariadb": ["--default-character-set=utf8mb4", "--max-allowed-packet=128M"],
    "mysql": ["--default-character-set=utf8mb4", "--max-allowed-packet=128M"],
    "mycli": ["--charset=utf8mb4", "--no-warn", "--use-keyring=false", "-p", ...],
}
"""`...` is the password."""
COMPRESS_OPTIONS = {
    "": [],
    "zlib": ["--compress"] if DRIVER == "mariadb" else ["--compression-algorithms=zlib"],
    "zstd": ["--compression-algorithms=zstd", "--zstd-compression-level=7"],
}
CREATE = """\
CREATE TABLE t (
    id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(200), n INT, d DECIMAL(10,3), f DOUBLE,
    w DATETIME(6), b BLOB, big LONGTEXT, u BIGINT UNSIGNED, UNIQUE (n)
) CHARACTER SET utf8mb4;
"""
INSERT = """\
INSERT INTO t (s, n, d, f, w, b, u) VALUES
    ('Grüße, 世界 🎉 \\\\ \\' " % ;', 1, 1234.5, 1.25, '2026-02-28 23:59:58.123456',
     X'00FF275C', 18446744073709551615),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('', 2, -0.001, -1e300, NULL, '', 0);
SELECT LAST_INSERT_ID(), ROW_COUNT();
"""
TRANSACTION = """\
START TRANSACTION; DELETE FROM t; SELECT COUNT(*) FROM t; ROLLBACK;
SELECT COUNT(*) FROM t; UPDATE t SET s = 'changed' WHERE n >= 2; SELECT ROW_COUNT();
"""
ERRORS = """\
INSERT INTO t (n) VALUES (1); SELECT * FROM nowhere; SELEKT 'é';
SELECT id, (SELECT id FROM t LIMIT 2) FROM t; SELECT CAST('1x' AS SIGNED); SELECT 'on';
"""
PREPARED = """\
PREPARE p FROM 'SELECT s, n FROM t WHERE n = ?'; SET @n = 1; EXECUTE p USING @n;
DEALLOCATE PREPARE p; EXECUTE p USING @n;
"""
# With another delimiter, the whole goes to the server as one command.
MULTI = """\
DELIMITER //
CREATE PROCEDURE p() BEGIN SELECT 1; SELECT s FROM t ORDER BY id; END//
CALL p()//
SELECT 1; SELECT 'é'; UPDATE t SET n = 77 WHERE n = 2; SELECT * FROM nowhere; SELECT 2//
SELECT 'still here'//
"""
RESET = """\
SET @kept = 1; CREATE TEMPORARY TABLE kept (i INT); SELECT @kept;
resetconnection
SELECT @kept, DATABASE(); SELECT COUNT(*) FROM kept; SELECT COUNT(*) FROM t;
"""
FUNCTION = "aws_comprehend_detect_sentiment"
SENTIMENT = f"{FUNCTION}(user_feedback, 'en')"
CONFIDENCE = "aws_comprehend_detect_sentiment_confidence(user_feedback, 'en')"
ML = {
    "select list": f"""\
SELECT id, {SENTIMENT} AS sentiment, {CONFIDENCE} AS confidence
FROM feedback WHERE id <= 8 ORDER BY id;""",
    "WHERE": f"SELECT id, product FROM feedback WHERE {SENTIMENT} = 'NEGATIVE';",
    "GROUP BY": f"""\
SELECT {SENTIMENT} AS sentiment, COUNT(*) AS n FROM feedback
GROUP BY sentiment ORDER BY sentiment;""",
    "update": f"""\
START TRANSACTION; UPDATE feedback SET answer = {SENTIMENT} WHERE id <= 5;
SELECT answer, COUNT(*) FROM feedback GROUP BY answer ORDER BY answer; ROLLBACK;
SELECT answer, COUNT(*) FROM feedback GROUP BY answer ORDER BY answer;""",
    "no such column": f"SELECT {FUNCTION}(nowhere, 'en') FROM feedback;",
    "no such table": f"SELECT {SENTIMENT} FROM nowhere;",
}


def show(step, **values):
    print(json.dumps({"step": step, **values}, ensure_ascii=False))


def run(
    step,
    *options,
    given="",
    password=PASSWORD,
    command="COMMAND_LINE",
    digest=False,
    directory=None,
):
    done = subprocess.run(
        [
            *json.loads(os.environ[command]),
            *("-h", HOST, "-P", PORT, "-u", USER),
            *TLS_OPTIONS[DRIVER, TLS],
            *(password if word is ... else word for word in OPTIONS[DRIVER]),
            *COMPRESS_OPTIONS[os.environ.get("COMPRESS", "")],
            *options,
        ],
        input=given.encode(),
        capture_output=True,
        cwd=directory,
        # Not an option: the mysql program warns of a password in its options.
        # A home of its own: mycli writes its settings and its history there.
        env=os.environ | {"MYSQL_PWD": password, "HOME": HOME},
    )
    error = done.stderr.decode()
    out = re.sub(rb"\(\d+[.]\d+ sec\)", b"(... sec)", done.stdout)
    if digest:
        seen = {"size": len(out), "digest": hashlib.sha256(out).hexdigest()}
    else:
        seen = {"out": out.decode(errors="backslashreplace").splitlines()}
    show(step, **seen, error=error.splitlines(), code=done.returncode)


def ask(step, sql, *options, **more):
    run(step, *options, DATABASE, given=sql, **more)


def everything():
    ask("wrong password", "SELECT 1", password=PASSWORD + "wrong")
    ask("version", "SELECT VERSION(), USER(), CURRENT_USER(), DATABASE()")
    ask("tls", "SHOW STATUS LIKE 'Ssl_cipher'")
    ask("create", CREATE, "-vvv")
    ask("insert", INSERT, "-vvv")
    ask("select", "SELECT * FROM t ORDER BY id", "-t", "--column-type-info")
    ask("select vertical", "SELECT * FROM t ORDER BY id", "-E", "--quick")
    ask("Unicode", "SELECT 'naïve Ω 世界 🎉 é' AS given, HEX('é')", "-t")
    ask("rolled back", TRANSACTION, "-vvv")
    ask("duplicate key", ERRORS, "--force", "-vvv", "--show-warnings")
    ask("prepared", PREPARED, "--force", "-t")
    ask("multi", MULTI, "--force", "-vvv")
    load = """LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE t CHARACTER SET utf8mb4
        FIELDS TERMINATED BY ',' (n, s); SELECT COUNT(*), MAX(s) FROM t"""
    with tempfile.TemporaryDirectory() as place:
        with open(f"{place}/rows.csv", "w", encoding="utf-8") as file:
            file.writelines(f"{n},row {n} é\n" for n in range(1000, 21000))
        ask("load", load, "--local-infile=1", "-vvv", directory=place)
        ask("load refused", load, "--local-infile=0", "-vvv", directory=place)
    load = "LOAD DATA LOCAL INFILE '/nowhere' INTO TABLE t; SELECT 1"
    ask("load nothing", load, "--local-infile=1", "--force")
    ask("rows", "SELECT * FROM t ORDER BY id", digest=True)
    ask("rows, one by one", "SELECT * FROM t ORDER BY id", "--quick", digest=True)
    big = "x" * 9_000_000 + "é" * 4_000_000
    insert = f"INSERT INTO t (n, big) VALUES (30000, '{big}')"
    ask("big insert", insert, "-v", digest=True)
    select = "SELECT n, big, 'after' FROM t WHERE n = 30000; SELECT 1"
    ask("big select", select, digest=True)
    if DRIVER == "mysql":
        ask("reset", RESET, "--force", "-vvv")
    if "DUMP" in os.environ:
        options = ["--skip-comments", "--routines", DATABASE]
        run("dump", *options, command="DUMP", digest=True)


def everything_of_mycli():
    """It ends at the first error, and has output formats of its own."""
    ask("wrong password", "SELECT 1;", password=PASSWORD + "wrong")
    ask("version", "SELECT VERSION(), USER(), CURRENT_USER(), DATABASE();")
    ask("tls", "SHOW STATUS LIKE 'Ssl_cipher';")
    ask("create", CREATE, "-v")
    ask("insert", INSERT, "-t", "-v")
    for form in ("table", "csv", "tsv", "default"):
        ask("select", "SELECT * FROM t ORDER BY id;", f"--format={form}")
    ask("Unicode", "SELECT 'naïve Ω 世界 🎉 é' AS given, HEX('é');", "-t")
    ask("rolled back", TRANSACTION, "-v", "-t")
    for error in ERRORS.strip().split("; "):
        ask("duplicate key", error, "--show-warnings")
    ask("prepared", PREPARED, "-t")
    for command in (r"\dt", r"\dt t", r"\l"):
        ask("metadata", command, "-t")
    big = "x" * 3_000_000 + "é" * 1_000_000
    ask("big insert", f"INSERT INTO t (n, big) VALUES (30000, '{big}');", digest=True)
    ask("big select", "SELECT n, big, 'after' FROM t WHERE n = 30000;", digest=True)


def ml():
    options = ["-t"]
    if DRIVER != "mycli":
        # The collation that the functions have: else = is refused.
        options += ["--column-type-info", "--init-command=SET NAMES utf8mb4"]
    for step, sql in ML.items():
        ask(step, sql, *options)


version = subprocess.run(
    [*json.loads(os.environ["COMMAND_LINE"]), "--version"], capture_output=True, text=True
)
show("client", version=re.search(r"\d+\.\d+\.\d+", version.stdout)[0])
if STEPS.endswith("ml.steps"):
    ml()
elif DRIVER == "mycli":
    everything_of_mycli()
else:
    everything()
