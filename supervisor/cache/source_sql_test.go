package cache

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// database makes a file with 50 users.
func database(t testing.TB, path string, users int) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, q := range []string{
		"PRAGMA journal_mode=WAL",
		"CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, weight REAL, photo BLOB)",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	for range users {
		if _, err := db.Exec("INSERT INTO users (name) VALUES ('Ann')"); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestSQL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?#%.db")
	database(t, "file:"+strings.NewReplacer(" ", "%20", "?", "%3f", "#", "%23", "%", "%25").Replace(path), 50)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, query, want, err string }{
		{"count", "SELECT count(*) FROM users", "50", ""},
		{"zero", "SELECT 0", "0", ""},
		{"text", "SELECT name FROM users WHERE id = 1", "Ann", ""},
		{"empty text", "SELECT ''", "", ""},
		{"real", "SELECT 1.5", "1.5", ""},
		{"blob", "SELECT x'00ff'", "\x00\xff", ""},
		{"null", "SELECT NULL", "null", ""},
		{"no row", "SELECT id FROM users WHERE id = 0", "[]", ""},
		{"two rows", "SELECT id FROM users ORDER BY id LIMIT 2", `[{"id":1},{"id":2}]`, ""},
		{"two columns", "SELECT name, id, weight FROM users LIMIT 1", `[{"name":"Ann","id":1,"weight":null}]`, ""},
		{"columns of one name", "SELECT id, id FROM users", "", `two columns are called "id"`},
		{"no table", "SELECT * FROM user", "", "no such table: user"},
		{"nonsense", "SELEKT", "", "syntax error"},
		{"writes", "DELETE FROM users", "", "readonly"},
		{"writes in a temporary table", "CREATE TEMP TABLE x (y)", "", "readonly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := SQL("sqlite", path, c.query).(*sqlSource)
			defer s.Close()
			check(t, s, c.want, c.err)
			check(t, s, c.want, c.err)
		})
	}
}

func TestSQLSeesWhatOthersWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.db")
	s := SQL("sqlite", path, "SELECT count(*) FROM users").(*sqlSource)
	defer s.Close()
	check(t, s, "", "no such file")
	if _, err := os.Stat(path); err == nil {
		t.Fatal("the source created the database")
	}
	db := database(t, path, 50)
	check(t, s, "50", "")
	if _, err := db.Exec("INSERT INTO users (name) VALUES ('Bob')"); err != nil {
		t.Fatal(err)
	}
	check(t, s, "51", "")
	db.Close()

	// Another file takes the name.
	other := database(t, path+".new", 3)
	other.Close()
	os.Remove(path + "-wal")
	os.Remove(path + "-shm")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	check(t, s, "3", "")
}

func TestSQLDoesNotWaitForWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.db")
	db := database(t, path, 2)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("DELETE FROM users"); err != nil {
		t.Fatal(err)
	}
	s := SQL("sqlite", path, "SELECT count(*) FROM users").(*sqlSource)
	defer s.Close()
	check(t, s, "2", "")
}

func TestSQLTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.db")
	database(t, path, 1)
	s := SQL("sqlite", path, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r) SELECT max(n) FROM r").(*sqlSource)
	defer s.Close()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, timedOut{50 * time.Millisecond})
	defer cancel()
	started := time.Now()
	_, err := s.Fetch(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("the error is %v", err)
	}
	if d := time.Since(started); d > 20*time.Second {
		t.Errorf("took %s", d)
	}
	s.query = "SELECT count(*) FROM users"
	check(t, s, "1", "")
}

func TestSQLOverTheLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.db")
	database(t, path, 50)
	s := SQL("sqlite", path, "SELECT * FROM users").(*sqlSource)
	defer s.Close()
	s.limit = 200
	check(t, s, "", "the answer has more than the limit of 200 bytes")
	s.query = "SELECT 'xxxxxxxxx' || hex(zeroblob(500))"
	check(t, s, "", "the answer has more than the limit of 200 bytes")
}

func TestSQLThatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "garbage.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("garbage ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, SQL("sqlite", path, "SELECT count(*) FROM users"), "", "not a database")
	check(t, SQL("sqlite", ":memory:", "SELECT 1"), "", "in memory")
	check(t, SQL("sqlite", "", "SELECT 1"), "", "no file")
	check(t, SQL("nodriver", "x", "SELECT 1"), "", `unknown driver "nodriver"`)
}

func TestSQLiteReadOnly(t *testing.T) {
	const rest = "_pragma=busy_timeout%282000%29&_pragma=query_only%281%29&_pragma=cache_size%28-512%29&mode=ro"
	for dsn, want := range map[string][2]string{
		"users.db":                      {"users.db", "file:users.db?" + rest},
		"/srv/a b.db":                   {"/srv/a b.db", "file:/srv/a%20b.db?" + rest},
		"file:/srv/a%20b.db?mode=rwc":   {"/srv/a b.db", "file:/srv/a%20b.db?" + rest},
		"file:///srv/users.db":          {"/srv/users.db", "file:/srv/users.db?" + rest},
		"/srv/what?.db":                 {"/srv/what?.db", "file:/srv/what%3F.db?" + rest},
		"file:users.db?immutable=1&x=y": {"users.db", "file:users.db?" + strings.Replace(rest, "mode=ro", "immutable=1&mode=ro&x=y", 1)},
	} {
		file, readOnly, err := sqliteReadOnly(dsn)
		if err != nil || file != want[0] || readOnly != want[1] {
			t.Errorf("%s: got %q and %q, %v", dsn, file, readOnly, err)
		}
	}
}

func BenchmarkSQL(b *testing.B) {
	path := filepath.Join(b.TempDir(), "users.db")
	database(b, path, 50)
	s := SQL("sqlite", path, "SELECT count(*) FROM users").(*sqlSource)
	defer s.Close()
	for b.Loop() {
		p, err := s.Fetch(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		p.Release()
	}
}
