package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite" // also the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// firstUsers is how many rows a new table has.
const firstUsers = 50

// SQLite waits for others by itself, but not where the first of them turns the journal into a WAL: that is tried again.
const (
	busyTimeout = 10 * time.Second
	busyPause   = 5 * time.Millisecond
)

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// users is the table of that name. The database is opened when it is first needed, so that it costs the start nothing.
type users struct {
	path string
	once sync.Once
	db   *sql.DB
	err  error
}

func (u *users) open() (*sql.DB, error) {
	u.once.Do(func() { u.db, u.err = openUsers(u.path) })
	return u.db, u.err
}

// openUsers creates what is missing. Several workers may do so at the same time: creating and filling is one immediate
// transaction, so one of them does both and the others find the result.
func openUsers(path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open database %s: %w", path, err)
	}
	dsn := url.URL{Scheme: "file", Path: abs, RawQuery: url.Values{
		"_txlock": {"immediate"},
		// In this order: what follows can already wait for others.
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("cannot open database %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	err = fill(db)
	for late := time.Now().Add(busyTimeout); isBusy(err) && time.Now().Before(late); err = fill(db) {
		time.Sleep(busyPause)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("cannot set up database %s: %w", path, err)
	}
	return db, nil
}

func fill(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	var tables int
	if err := tx.QueryRow(`SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'users'`).Scan(&tables); err != nil {
		return err
	}
	if tables > 0 {
		return nil
	}
	if _, err := tx.Exec(`CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)`); err != nil {
		return err
	}
	for i := 1; i <= firstUsers; i++ {
		if _, err := tx.Exec(`INSERT INTO users (name) VALUES (?)`, fmt.Sprintf("user %d", i)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (u *users) setup() error {
	_, err := u.open()
	u.close()
	return err
}

// add inserts one user and returns its number.
func (u *users) add(ctx context.Context, name string) (int64, error) {
	db, err := u.open()
	if err != nil {
		return 0, err
	}
	res, err := db.ExecContext(ctx, `INSERT INTO users (name) VALUES (?)`, name)
	if err != nil {
		return 0, fmt.Errorf("cannot add a user: %w", err)
	}
	return res.LastInsertId()
}

func (u *users) close() {
	u.once.Do(func() {})
	if u.db != nil {
		u.db.Close()
	}
}
