// One script, Go's driver: prints what it sees, a JSON line a step.
//
//	go_client HOST PORT USER PASSWORD TLS MODE DATABASE STEPS
//
// TLS 0 or 1; MODE text or prepared; STEPS is the path of everything.steps or ml.steps.
package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
)

var background = context.Background()

// Of Debian's package, told to the linker: the driver does not say its own.
var version string

type values map[string]interface{}

type step struct {
	kind, name, sql string
	words           []string
}

func show(name string, seen values) {
	line := values{"step": name}
	for key, value := range seen {
		line[key] = value
	}
	text, err := json.Marshal(line) // a map's keys come sorted
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func fault(err error) values {
	var known *mysql.MySQLError
	if errors.As(err, &known) {
		return values{"error": known.Number, "message": known.Message}
	}
	return values{"error": fmt.Sprintf("%T", err), "message": err.Error()}
}

func plain(value interface{}) interface{} {
	switch v := value.(type) {
	case nil:
		return nil
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return values{"bytes": hex.EncodeToString(v)}
	default:
		return fmt.Sprintf("%T %v", v, v)
	}
}

func argument(word string) interface{} {
	parts := strings.SplitN(word, " ", 2)
	value := ""
	if len(parts) == 2 {
		value = parts[1]
	}
	switch parts[0] {
	case "i":
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			panic(err)
		}
		return number
	case "f":
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			panic(err)
		}
		return number
	case "b":
		bytes, err := hex.DecodeString(value)
		if err != nil {
			panic(err)
		}
		return bytes
	case "null":
		return nil
	case "big":
		return strings.Repeat("x", 9000000) + strings.Repeat("é", 4000000)
	default:
		return value
	}
}

func arguments(words []string) []interface{} {
	all := make([]interface{}, len(words))
	for i, word := range words {
		all[i] = argument(word)
	}
	return all
}

// A connection of the pool, and the transaction that is open on it.
type client struct {
	pool        *sql.DB
	connection  *sql.Conn
	transaction *sql.Tx
}

func open(dsn string) (*client, error) {
	pool, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	connection, err := pool.Conn(background)
	if err != nil {
		return nil, err
	}
	return &client{pool: pool, connection: connection}, nil
}

func (c *client) query(statement string, args ...interface{}) (*sql.Rows, error) {
	if c.transaction != nil {
		return c.transaction.Query(statement, args...)
	}
	return c.connection.QueryContext(background, statement, args...)
}

func (c *client) exec(statement string, args ...interface{}) (values, error) {
	result, err := func() (sql.Result, error) {
		if c.transaction != nil {
			return c.transaction.Exec(statement, args...)
		}
		return c.connection.ExecContext(background, statement, args...)
	}()
	if err != nil {
		return nil, err
	}
	affected, _ := result.RowsAffected()
	id, _ := result.LastInsertId()
	return values{"affected": affected, "id": id}, nil
}

// Columns and rows of the result that is to be read next.
func next(found *sql.Rows) (columns [][]interface{}, rows [][]interface{}, err error) {
	kinds, err := found.ColumnTypes()
	if err != nil {
		return nil, nil, err
	}
	for _, kind := range kinds {
		length, hasLength := kind.Length()
		precision, scale, hasScale := kind.DecimalSize()
		nullable, known := kind.Nullable()
		columns = append(columns, []interface{}{
			kind.Name(), kind.DatabaseTypeName(), fmt.Sprint(kind.ScanType()),
			length, hasLength, precision, scale, hasScale, nullable, known,
		})
	}
	for found.Next() {
		row := make([]interface{}, len(kinds))
		places := make([]interface{}, len(kinds))
		for i := range row {
			places[i] = &row[i]
		}
		if err := found.Scan(places...); err != nil {
			return nil, nil, err
		}
		for i := range row {
			row[i] = plain(row[i])
		}
		rows = append(rows, row)
	}
	return columns, rows, found.Err()
}

func (c *client) rows(s step) (values, error) {
	found, err := c.query(s.sql, arguments(s.words)...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	columns, rows, err := next(found)
	if err != nil {
		return nil, err
	}
	return values{"columns": columns, "rows": rows}, nil
}

func (c *client) digest(s step) (values, error) {
	seen, err := c.rows(s)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(seen["rows"])
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(text)
	count := len(seen["rows"].([][]interface{}))
	return values{"columns": seen["columns"], "rows": count, "digest": hex.EncodeToString(digest[:])}, nil
}

func (c *client) several(s step) (values, error) {
	found, err := c.query(s.sql)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	results := []interface{}{}
	for {
		_, rows, err := next(found)
		if err != nil {
			results = append(results, fault(err))
			break
		}
		results = append(results, rows)
		if !found.NextResultSet() {
			break
		}
	}
	if err := found.Err(); err != nil {
		results = append(results, fault(err))
	}
	return values{"results": results}, nil
}

func (c *client) batch(s step) (values, error) {
	var from, to int
	if _, err := fmt.Sscan(s.words[0], &from, &to); err != nil {
		return nil, err
	}
	statement, err := c.connection.PrepareContext(background, s.sql)
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	all := []interface{}{}
	for n := from; n < to; n++ {
		result, err := statement.Exec(fmt.Sprintf("batch %d", n), n)
		if err != nil {
			all = append(all, fault(err))
			continue
		}
		id, _ := result.LastInsertId()
		all = append(all, id)
	}
	return values{"ids": all}, nil
}

func (c *client) take(s step) (seen values, err error) {
	switch s.kind {
	case "rows":
		return c.rows(s)
	case "digest":
		return c.digest(s)
	case "change", "text":
		return c.exec(s.sql, arguments(s.words)...)
	case "call", "multi":
		if s.name == "multi with an error" {
			// Version 1.5 waits for ever, with or without the proxy.
			return values{"left out": "the driver hangs"}, nil
		}
		return c.several(s)
	case "batch":
		return c.batch(s)
	case "begin":
		c.transaction, err = c.connection.BeginTx(background, nil)
	case "commit":
		if c.transaction != nil {
			err = c.transaction.Commit()
			c.transaction = nil
		}
	case "rollback":
		err = c.transaction.Rollback()
		c.transaction = nil
	case "reset":
		// database/sql resets a session if the driver can: this one only looks whether it lives.
		if err = c.connection.Close(); err == nil {
			c.connection, err = c.pool.Conn(background)
		}
		seen = values{"how": "ResetSession() of database/sql"}
	default:
		panic(s.kind)
	}
	return seen, err
}

func stepsOf(path string) (steps []step) {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	for _, paragraph := range strings.Split(string(text), "\n\n") {
		var head, sql, words []string
		for _, line := range strings.Split(paragraph, "\n") {
			switch {
			case line == "" || line[0] == '#':
			case strings.HasPrefix(line, "> "):
				words = append(words, line[2:])
			case head == nil:
				head = append(strings.SplitN(line, " ", 2), "")
			default:
				sql = append(sql, line)
			}
		}
		if head != nil {
			name := head[1]
			if name == "" {
				name = head[0]
			}
			steps = append(steps, step{head[0], name, strings.Join(sql, "\n"), words})
		}
	}
	return steps
}

func main() {
	host, port, user, password := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	tls, mode, database, steps := os.Args[5], os.Args[6], os.Args[7], os.Args[8]
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = user, "tcp", host+":"+port, database
	config.MultiStatements = true
	config.InterpolateParams = mode == "text"
	config.MaxAllowedPacket = 1 << 27
	if tls == "1" {
		config.TLSConfig = "skip-verify"
	}
	mysql.SetLogger(silent{})
	show("client", values{"version": version})
	config.Passwd = password + "wrong"
	if _, err := open(config.FormatDSN()); err != nil {
		show("wrong password", fault(err))
	}
	config.Passwd = password
	connected, err := open(config.FormatDSN())
	if err != nil {
		show("log in", fault(err))
		return
	}
	for _, s := range stepsOf(steps) {
		seen, err := connected.take(s)
		if err != nil {
			seen = fault(err)
		}
		if seen != nil {
			show(s.name, seen)
		}
	}
	connected.connection.Close()
	connected.pool.Close()
	show("closed", nil)
}

// The driver logs what it also returns.
type silent struct{}

func (silent) Print(...interface{}) {}
