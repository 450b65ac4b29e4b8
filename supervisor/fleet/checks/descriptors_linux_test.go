package checks

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/fleet/rounds"
	"golang.org/x/sys/unix"
)

// TestNoDescriptorLeft: a check for which this process has no descriptor left says nothing of the member; that is told once. Not parallel:
// the limit is that of the process.
func TestNoDescriptorLeft(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	if got := once(t, TCP{}, l.Addr().String(), eventually.Patience()); got != "ok" {
		t.Fatal(got)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	told, events := make(chan string, 100), make(chan fleet.Event, 100)
	ways := counted{way: HTTP{}, asked: make(chan struct{}, 1000)}
	s := New(ways, rounds.Options{Every: 10 * time.Millisecond, Jitter: -1}, func(text string) { told <- text })
	s.Update([]members.Member{{ID: "a", Address: l.Addr().String()}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx, func(ev fleet.Event) { events <- ev }) }()
	for range 5 {
		eventually.Receive(t, "a check", ways.asked)
	}
	cancel()
	<-ended
	if len(events) > 0 {
		t.Errorf("%+v", <-events)
	}
	if len(told) != 1 {
		t.Fatalf("told %d times", len(told))
	}
	if text := <-told; !strings.Contains(text, "too many open files; that is a fault of this host") {
		t.Error(text)
	}
}

// counted tells of each check.
type counted struct {
	way   Way
	asked chan struct{}
}

func (c counted) check(ctx context.Context, m members.Member) (fleet.Event, error) {
	ev, err := c.way.check(ctx, m)
	c.asked <- struct{}{}
	return ev, err
}
