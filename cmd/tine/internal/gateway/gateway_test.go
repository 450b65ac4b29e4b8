package gateway

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/worker/gate/proxy"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest("GET", "http://h/p?q=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-User", "7")
	r.AddCookie(&http.Cookie{Name: "session", Value: "s"})
	for text, want := range map[string]string{"path": "/p", "host": "h", "header:X-User": "7", "query:q": "1", "cookie:session": "s", "cookie:other": ""} {
		key, err := ParseKey(text)
		if err != nil || key(r) != want {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"uid", "header:", "header", "ip:x"} {
		if _, err := ParseKey(text); err == nil || !strings.Contains(err.Error(), "is expected") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestFailures: each failure has its line, and a flood of them does not flood the log.
func TestFailures(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := &failures{log: slog.New(slog.NewTextHandler(&out, nil))}
	f.tell(proxy.Access{Status: 200})
	f.tell(proxy.Access{Err: errors.New("gone")})
	for range 100 {
		f.tell(proxy.Access{ID: "x", Member: "m", Status: 502, Tries: 2, Err: errors.New("member m: refused")})
	}
	if n := strings.Count(out.String(), "request failed"); n != mostFailures || !strings.Contains(out.String(), `error="member m: refused"`) {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	f.until = time.Time{}
	f.tell(proxy.Access{Status: 502, Err: errors.New("again")})
	if !strings.Contains(out.String(), "requests=90") {
		t.Errorf("what was left out is not counted:\n%s", out.String())
	}
}
