package keeper

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestInheritance(t *testing.T) {
	for range 2 { // so that 3 and 4 are open
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	const me, parent = 100, 50
	for _, c := range []struct {
		name  string
		env   []string
		n     int
		names []string
		bad   string
	}{
		{"nothing", nil, 0, nil, ""},
		{"systemd", []string{"LISTEN_FDS=2", "LISTEN_PID=100"}, 2, []string{"unknown", "unknown"}, ""},
		{"named", []string{"LISTEN_FDS=2", "LISTEN_PID=100", "LISTEN_FDNAMES=web:log"}, 2, []string{"web", "log"}, ""},
		{"an empty name", []string{"LISTEN_FDS=2", "LISTEN_PID=100", "LISTEN_FDNAMES=web:"}, 2, []string{"web", "unknown"}, ""},
		{"another process's", []string{"LISTEN_FDS=2", "LISTEN_PID=99"}, 0, nil, ""},
		{"no process's", []string{"LISTEN_FDS=2"}, 0, nil, ""},
		{"the keeper's", []string{"LISTEN_FDS=1", "TINE_KEEPER_PID=50"}, 1, []string{"unknown"}, ""},
		{"another keeper's", []string{"LISTEN_FDS=1", "TINE_KEEPER_PID=51"}, 0, nil, ""},
		{"too few names", []string{"LISTEN_FDS=2", "LISTEN_PID=100", "LISTEN_FDNAMES=web"}, 2, nil, "1 names for 2"},
		{"no number", []string{"LISTEN_FDS=two", "LISTEN_PID=100"}, 0, nil, `LISTEN_FDS="two"`},
		{"negative", []string{"LISTEN_FDS=-1", "LISTEN_PID=100"}, 0, nil, "LISTEN_FDS"},
		{"far too many", []string{"LISTEN_FDS=2000000000", "LISTEN_PID=100"}, 0, nil, "LISTEN_FDS"},
		{"not open", []string{"LISTEN_FDS=900000", "LISTEN_PID=100"}, 0, nil, "is not open"},
	} {
		t.Run(c.name, func(t *testing.T) {
			getenv := func(key string) string {
				for _, kv := range c.env {
					if k, v, _ := strings.Cut(kv, "="); k == key {
						return v
					}
				}
				return ""
			}
			n, names, err := inheritance(getenv, me, parent)
			if n != c.n || !slices.Equal(names, c.names) {
				t.Errorf("%d %q, want %d %q", n, names, c.n, c.names)
			}
			if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("error %v, want %q", err, c.bad)
			}
		})
	}
}
