package estate

import (
	"errors"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// pinged is a loop that notes its signs of life.
type pinged struct {
	Loop
	signs chan struct{}
	every time.Duration
}

func (l pinged) Ping() time.Duration {
	select {
	case l.signs <- struct{}{}:
	default:
	}
	return l.every
}

// TestStandStillIsNoHang: a watchdog that has less patience than an upgrade takes hears of this master meanwhile. Without one the loop
// waits for the result alone.
func TestStandStillIsNoHang(t *testing.T) {
	for _, every := range []time.Duration{time.Millisecond, 0} {
		l := pinged{signs: make(chan struct{}), every: every}
		e := New(l, Options{})
		result, over := make(chan error), make(chan error, 1)
		go func() { over <- e.standStill(result) }()
		if every > 0 {
			for range 3 {
				eventually.Receive(t, "a sign of life", l.signs)
			}
		}
		want := errors.New("it hangs")
		result <- want
		if err := eventually.Receive(t, "the end", over); err != want {
			t.Error(err)
		}
	}
}
