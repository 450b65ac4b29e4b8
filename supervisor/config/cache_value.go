package config

import (
	"context"
	"time"
)

// CacheValue is one cached value and the one place that it comes from: exactly one of Exec, File, SQL, Members
// and Func is set.
type CacheValue struct {
	Key  string
	Exec []string // its output is the value; from a file, a plain string runs as sh -c STRING
	File string   // its content is the value
	SQL  SQL
	// Members has the value be the table of members for a gateway: see package ipc/members. Each is host:port, or the path of a Unix
	// socket. The names are looked up and the members checked by a connection Every so often.
	Members []string
	Func    func(context.Context) (any, error) `yaml:"-" json:"-"` // only in Go
	Fixed   []byte                             `yaml:"-" json:"-"` // only of the master itself: the value, which changes with the config alone
	Live    Live                               `yaml:"-" json:"-"` // likewise

	Every   time.Duration     // from start to start; default 5s
	Timeout time.Duration     // of one fetch; default 5s. A fetch longer than Every delays the next one
	Jitter  float64           // share of Every, 0 to 1, by which each interval varies at random; default 0
	Dir     string            // working folder of Exec
	Env     map[string]string // of Exec, on top of the master's

	Complete bool `json:"-"` // as in App
}

// Live is a source that says itself when there is another value. Two are the same if they are equal, so that one may go on when a config
// is applied that has it too.
type Live interface {
	// Source names it in logs and in status.
	Source() string
	// Run gives each new value, or why there is none, until ctx is done. give does not wait. before is the value that the last master had
	// from this source; nil: there is none.
	Run(ctx context.Context, before []byte, give func(value []byte, err error))
}

// SQL is a query of a database. A result of one row with one column is the value itself; any other is a JSON array of objects.
type SQL struct {
	Driver string // default "sqlite"
	DSN    string // for sqlite a file name
	Query  string
}

func (s SQL) isZero() bool { return s == SQL{} }

// Fill sets the defaults, as WithDefaults does; in a value that is Complete only the driver.
func (v *CacheValue) Fill() {
	if !v.SQL.isZero() {
		setDefault(&v.SQL.Driver, "sqlite")
	}
	if v.Complete {
		return
	}
	v.Complete = true
	setDefault(&v.Every, defaultCacheEvery)
	setDefault(&v.Timeout, defaultCacheTimeout)
}
