package file

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
)

func TestParseCacheFlag(t *testing.T) {
	sec := 5 * time.Second
	for text, want := range map[string]config.CacheValue{
		"a=exec:echo 1":                    {Key: "a", Exec: shell("echo 1"), Every: sec},
		"a=exec:echo 1@2s":                 {Key: "a", Exec: shell("echo 1"), Every: 2 * time.Second},
		"a=exec:ssh me@host count@1m30s":   {Key: "a", Exec: shell("ssh me@host count"), Every: 90 * time.Second},
		"a=exec:ssh me@host":               {Key: "a", Exec: shell("ssh me@host"), Every: sec},
		"a=exec:X=1 env@100ms":             {Key: "a", Exec: shell("X=1 env"), Every: 100 * time.Millisecond},
		"v=file:/etc/version@1h":           {Key: "v", File: "/etc/version", Every: time.Hour},
		"n=sql:sqlite:a.db:SELECT ':'@10s": {Key: "n", SQL: config.SQL{Driver: "sqlite", DSN: "a.db", Query: "SELECT ':'"}, Every: 10 * time.Second},
	} {
		want.Timeout, want.Complete = sec, true
		got, err := ParseCacheFlag(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", text, got, err)
			continue
		}
		c := config.Single("web", nil, 1, []string{"x"})
		c.Cache = []config.CacheValue{got}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"":                          "no key",
		"=exec:x":                   "no key",
		"a":                         "no key",
		"a=x":                       "no source",
		"a=http:x":                  `no source "http"`,
		"a=exec:":                   "exec of nothing",
		"a=exec:@5s":                "exec of nothing",
		"a=exec:x@5sec":             `"5sec" is not a duration`,
		"a=exec:x@1ms":              "too often",
		"a=sql:sqlite:a.db":         "sql needs a driver",
		"a=sql:postgres:a:SELECT 1": `no driver "postgres"`,
	} {
		if _, err := ParseCacheFlag(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
