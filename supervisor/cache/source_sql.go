package cache

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/tinehq/tine/ipc"
)

// SQL is the source that asks a database/sql database. One row with one column is the value itself, as text; anything else
// is a JSON array with an object for each row, its columns in the order of the query. NULL is JSON's null.
//
// The database is opened at the first fetch, over one connection that stays open. One of driver "sqlite" is opened
// read-only, is never created, and is opened again when its path names another file than before.
func SQL(driver, dsn, query string) Source {
	return &sqlSource{driver: driver, dsn: dsn, query: query, limit: MaxFetched}
}

type sqlSource struct {
	driver, dsn, query string
	limit              int64
	db                 *sql.DB
	file               os.FileInfo // of the SQLite file that is open
}

func (s *sqlSource) String() string { return s.driver + ": " + s.query }

func (s *sqlSource) Fetch(ctx context.Context) (*ipc.Payload, error) {
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("cannot open the database: %w", err)
	}
	value, err := s.ask(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		// The next fetch begins anew: the connection may be what is wrong.
		_ = s.Close()
		return nil, fmt.Errorf("cannot query the database: %w", err)
	}
	return ipc.NewPayload(value)
}

func (s *sqlSource) open() error {
	dsn := s.dsn
	if s.driver == "sqlite" {
		file, readOnly, err := sqliteReadOnly(s.dsn)
		if err != nil {
			return err
		}
		dsn = readOnly
		if file != "" {
			// A path that names another file by now would otherwise be answered from the old one for ever.
			info, err := os.Stat(file)
			if err != nil {
				_ = s.Close()
				return err
			}
			if s.db != nil && !os.SameFile(info, s.file) {
				_ = s.Close()
			}
			s.file = info
		}
	}
	if s.db != nil {
		return nil
	}
	db, err := sql.Open(s.driver, dsn)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	s.db = db
	return nil
}

func (s *sqlSource) ask(ctx context.Context) ([]byte, error) {
	rows, err := s.db.QueryContext(ctx, s.query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	keys, err := objectKeys(columns)
	if err != nil {
		return nil, err
	}
	cells := make([]any, len(columns))
	targets := make([]any, len(columns))
	for i := range cells {
		targets[i] = &cells[i]
	}
	var scalar []byte
	var list bytes.Buffer
	list.WriteByte('[')
	count := 0
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		if count++; count == 1 && len(columns) == 1 {
			if scalar, err = scalarText(cells[0]); err != nil {
				return nil, err
			}
		}
		if count > 1 {
			list.WriteByte(',')
		}
		if err := writeObject(&list, keys, cells); err != nil {
			return nil, err
		}
		if int64(list.Len()) > s.limit {
			return nil, tooLarge("the answer has", s.limit)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if count == 1 && len(columns) == 1 {
		return scalar, nil
	}
	list.WriteByte(']')
	return list.Bytes(), nil
}

// objectKeys returns the columns' names in JSON.
func objectKeys(columns []string) ([][]byte, error) {
	keys := make([][]byte, len(columns))
	seen := map[string]bool{}
	for i, c := range columns {
		if seen[c] {
			return nil, fmt.Errorf("two columns are called %q: name them with AS", c)
		}
		seen[c] = true
		key, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		keys[i] = key
	}
	return keys, nil
}

func writeObject(to *bytes.Buffer, keys [][]byte, cells []any) error {
	to.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			to.WriteByte(',')
		}
		to.Write(key)
		to.WriteByte(':')
		cell, err := json.Marshal(cells[i])
		if err != nil {
			return fmt.Errorf("column %s: %w", key, err)
		}
		to.Write(cell)
	}
	to.WriteByte('}')
	return nil
}

// scalarText is a single cell as a value of its own.
func scalarText(cell any) ([]byte, error) {
	switch v := cell.(type) {
	case []byte:
		return bytes.Clone(v), nil
	case string:
		return []byte(v), nil
	case int64:
		return strconv.AppendInt(nil, v, 10), nil
	case time.Time:
		return v.AppendFormat(nil, time.RFC3339Nano), nil
	}
	return json.Marshal(cell)
}

// Close ends the connection; the next fetch makes a new one.
func (s *sqlSource) Close() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db, s.file = nil, nil
	return err
}
