<?php
// One script, two PHP extensions: prints what the extension sees, a JSON line a step.
//
// php_client.php DRIVER HOST PORT USER PASSWORD TLS MODE DATABASE STEPS
//   DRIVER mysqli or pdo; TLS 0 or 1; MODE text or prepared
//   STEPS is the path of everything.steps or ml.steps

[, $driver, $host, $port, $user, $password, $tls, $mode, $database, $steps] = $argv;
define('TLS', $tls === '1');
define('PREPARED', $mode === 'prepared');

function show(string $step, array $values = []): void
{
    $flags = JSON_UNESCAPED_UNICODE | JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION;
    echo json_encode(['step' => $step] + $values, $flags), "\n";
}

/** Text of one packet more than MySQL has in one. */
function big(): string
{
    return str_repeat('x', 9000000) . str_repeat('é', 4000000);
}

function readable(array $row): array
{
    $plain = fn ($v) => is_string($v) && !mb_check_utf8($v) ? ['bytes' => bin2hex($v)] : $v;
    return array_map($plain, $row);
}

function mb_check_utf8(string $text): bool
{
    return preg_match('//u', $text) === 1; // mbstring is an extension of its own
}

final class Mysqli_
{
    private mysqli $link;

    public function __construct(private array $login)
    {
    }

    public function open(string $password): void
    {
        [$host, $port, $user, $database] = $this->login;
        mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
        $this->link = mysqli_init();
        $flags = TLS ? MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT : 0;
        $flags |= getenv('COMPRESS') ? MYSQLI_CLIENT_COMPRESS : 0;
        // "p:" asks for a persistent connection, which is pooled.
        @$this->link->real_connect("p:$host", $user, $password, $database, $port, null, $flags);
        $this->link->set_charset('utf8mb4');
    }

    public function version(): string
    {
        return PHP_VERSION;
    }

    public function query(string $sql, array $args): array
    {
        if (PREPARED) {
            $statement = $this->link->prepare($sql);
            $statement->execute($args ?: null);
            $result = $statement->get_result();
            return $result ? $this->rows($result) : $this->changed($statement);
        }
        $result = $this->link->query($this->filledIn($sql, $args));
        return is_bool($result) ? $this->changed($this->link) : $this->rows($result);
    }

    public function text(string $sql): array
    {
        $this->link->query($sql);
        return $this->changed($this->link);
    }

    public function several(string $sql): array
    {
        $seen = [];
        try {
            $this->link->multi_query($sql);
            do {
                $result = $this->link->store_result();
                $seen[] = $result ? $result->fetch_all() : $this->changed($this->link);
            } while ($this->link->more_results() && $this->link->next_result());
        } catch (mysqli_sql_exception $error) {
            $seen[] = $this->fault($error);
        }
        return ['results' => $seen];
    }

    public function begin(): void
    {
        $this->link->begin_transaction();
    }

    public function commit(): void
    {
        $this->link->commit();
    }

    public function rollback(): void
    {
        $this->link->rollback();
    }

    /** PHP resets a persistent connection as it is taken again. */
    public function reset(string $password): string
    {
        $this->close();
        $this->open($password);
        return 'change_user(), by the persistent connection';
    }

    public function close(): void
    {
        $this->link->close();
    }

    public function fault(Throwable $error): array
    {
        return ['error' => $error->getCode(), 'state' => $error->getSqlState(), 'message' => $error->getMessage()];
    }

    private function filledIn(string $sql, array $args): string
    {
        return preg_replace_callback('/\?/', function () use (&$args) {
            $value = array_shift($args);
            return match (true) {
                $value === null => 'NULL',
                is_string($value) => "'" . $this->link->real_escape_string($value) . "'",
                default => (string) $value,
            };
        }, $sql);
    }

    private function rows(mysqli_result $result): array
    {
        $columns = array_map(
            fn ($c) => [$c->name, $c->orgname, $c->table, $c->type, $c->flags, $c->length, $c->charsetnr, $c->decimals],
            $result->fetch_fields()
        );
        return ['columns' => $columns, 'rows' => array_map('readable', $result->fetch_all())];
    }

    private function changed(mysqli|mysqli_stmt $where): array
    {
        $warnings = $this->link->warning_count;
        return ['affected' => $where->affected_rows, 'id' => $where->insert_id, 'warnings' => $warnings];
    }
}

final class Pdo_
{
    private ?PDO $link;

    public function __construct(private array $login)
    {
    }

    public function open(string $password): void
    {
        [$host, $port, $user, $database] = $this->login;
        $options = [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_EMULATE_PREPARES => !PREPARED,
            PDO::ATTR_PERSISTENT => true,
            PDO::MYSQL_ATTR_COMPRESS => (bool) getenv('COMPRESS'),
        ];
        if (TLS) {
            // A cipher asks for TLS without naming a CA.
            $options[PDO::MYSQL_ATTR_SSL_CIPHER] = 'DEFAULT';
            $options[PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT] = false;
        }
        $name = "mysql:host=$host;port=$port;dbname=$database;charset=utf8mb4";
        $this->link = new PDO($name, $user, $password, $options);
    }

    public function version(): string
    {
        return PHP_VERSION;
    }

    public function query(string $sql, array $args): array
    {
        $statement = $this->link->prepare($sql);
        foreach (array_values($args) as $i => $value) {
            $type = match (true) {
                $value === null => PDO::PARAM_NULL,
                is_int($value) => PDO::PARAM_INT,
                default => PDO::PARAM_STR,
            };
            $statement->bindValue($i + 1, $value, $type);
        }
        $statement->execute();
        return $this->seen($statement);
    }

    public function text(string $sql): array
    {
        return ['affected' => $this->link->exec($sql)];
    }

    public function several(string $sql): array
    {
        $seen = [];
        try {
            $statement = $this->link->query($sql);
            do {
                $seen[] = $this->seen($statement);
            } while ($statement->nextRowset());
        } catch (PDOException $error) {
            $seen[] = $this->fault($error);
        }
        return ['results' => $seen];
    }

    public function begin(): void
    {
        $this->link->beginTransaction();
    }

    public function commit(): void
    {
        if ($this->link->inTransaction()) {
            $this->link->commit();
        }
    }

    public function rollback(): void
    {
        $this->link->rollBack();
    }

    /** PDO gives a persistent connection as it is. */
    public function reset(string $password): string
    {
        $this->close();
        $this->open($password);
        return 'none, by the persistent connection';
    }

    public function close(): void
    {
        $this->link = null;
    }

    public function fault(Throwable $error): array
    {
        return ['error' => $error->getCode(), 'info' => $error->errorInfo ?? null, 'message' => $error->getMessage()];
    }

    private function seen(PDOStatement $statement): array
    {
        if ($statement->columnCount() === 0) {
            return ['affected' => $statement->rowCount(), 'id' => $this->link->lastInsertId()];
        }
        $columns = array_map(fn ($i) => $statement->getColumnMeta($i), range(0, $statement->columnCount() - 1));
        return ['columns' => $columns, 'rows' => array_map('readable', $statement->fetchAll(PDO::FETCH_NUM))];
    }
}

function argument(string $word): mixed
{
    [$type, $value] = explode(' ', $word, 2) + [1 => ''];
    return match ($type) {
        'i' => (int) $value,
        'f' => (float) $value,
        'b' => hex2bin($value),
        'null' => null,
        'big' => big(),
        default => $value,
    };
}

function stepsOf(string $file): Generator
{
    foreach (explode("\n\n", file_get_contents($file)) as $paragraph) {
        $lines = array_values(preg_grep('/^(?!#)./', explode("\n", $paragraph)));
        if ($lines) {
            [$kind, $name] = explode(' ', $lines[0], 2) + [1 => ''];
            $words = array_map(fn ($l) => substr($l, 2), array_values(preg_grep('/^> /', $lines)));
            yield [$kind, $name, implode("\n", preg_grep('/^(?!> )/', array_slice($lines, 1))), $words];
        }
    }
}

function take(object $link, string $kind, string $name, string $sql, array $words, string $password): ?array
{
    switch ($kind) {
        case 'rows':
        case 'change':
            return $link->query($sql, array_map('argument', $words));
        case 'digest':
            $seen = $link->query($sql, array_map('argument', $words));
            $text = json_encode($seen['rows']);
            return ['columns' => $seen['columns'], 'rows' => count($seen['rows']), 'digest' => hash('sha256', $text)];
        case 'text':
            return $link->text($sql);
        case 'call':
        case 'multi':
            return $link->several($sql);
        case 'batch':
            [$from, $to] = explode(' ', $words[0]);
            $seen = [];
            for ($n = (int) $from; $n < (int) $to; $n++) {
                $seen[] = $link->query($sql, ["batch $n", $n]);
            }
            return ['all' => $seen];
        case 'reset':
            return ['how' => $link->reset($password)];
        default: // begin, commit, rollback
            $link->$kind();
            return null;
    }
}

$class = ['mysqli' => Mysqli_::class, 'pdo' => Pdo_::class][$driver];
$link = new $class([$host, (int) $port, $user, $database]);
show('client', ['version' => $link->version()]);
try {
    $link->open($password . 'wrong');
} catch (Exception $error) {
    show('wrong password', $link->fault($error));
}
try {
    $link->open($password);
} catch (Exception $error) {
    show('log in', $link->fault($error));
    exit(0);
}
foreach (stepsOf($steps) as [$kind, $name, $sql, $words]) {
    try {
        $seen = take($link, $kind, $name, $sql, $words, $password);
        if ($seen !== null) {
            show($kind === 'reset' ? 'reset' : $name, $seen);
        }
    } catch (Exception $error) {
        show($name, $link->fault($error));
    }
}
$link->close();
show('closed');
