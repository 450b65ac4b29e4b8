package output

import (
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tinehq/tine/ipc/eventually"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collected collects lines and lets a test wait for one.
type collected struct {
	mu    sync.Mutex
	lines []string
	parts []bool // more, of each line
	came  chan struct{}
}

func newCollected() *collected { return &collected{came: make(chan struct{}, 1)} }

func (o *collected) line(line []byte, more bool) {
	o.mu.Lock()
	o.lines = append(o.lines, string(line))
	o.parts = append(o.parts, more)
	o.mu.Unlock()
	select {
	case o.came <- struct{}{}:
	default:
	}
}

func (o *collected) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.lines...)
}

// wait returns the first line with the prefix, without it.
func (o *collected) wait(t testing.TB, prefix string) string {
	t.Helper()
	timeout := time.After(eventually.Patience())
	for {
		for _, l := range o.all() {
			if rest, ok := strings.CutPrefix(l, prefix); ok {
				return rest
			}
		}
		select {
		case <-o.came:
		case <-timeout:
			t.Fatalf("no line %q within %s; got %q", prefix, eventually.Patience(), o.all())
		}
	}
}
