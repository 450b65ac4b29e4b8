package succession

import (
	"testing"

	"github.com/tinehq/tine/supervisor/config"
)

// TestValuesGoOn: the next master has each value that it can fetch, whatever its source is.
func TestValuesGoOn(t *testing.T) {
	c := config.Config{Cache: []config.CacheValue{
		{Key: "exec", Exec: []string{"true"}}, {Key: "file", File: "/a"}, {Key: "sql", SQL: config.SQL{Driver: "d", DSN: "s", Query: "q"}},
		{Key: "members", Members: []string{"127.0.0.1:1"}}, {Key: "func of another program"},
	}}
	next := State{Config: EncodeConfig(c)}.GoesOn(&config.Config{})
	var keys []string
	for _, v := range next.Cache {
		keys = append(keys, v.Key)
	}
	if want := []string{"exec", "file", "sql", "members"}; len(keys) != len(want) {
		t.Errorf("values: %q, want %q", keys, want)
	}
}
