package gateway

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/worker/gate/proxy"
)

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
	f.limit.until = time.Time{}
	f.tell(proxy.Access{Status: 502, Err: errors.New("again")})
	if !strings.Contains(out.String(), "requests=90") {
		t.Errorf("what was left out is not counted:\n%s", out.String())
	}
}
