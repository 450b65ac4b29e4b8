package slots

import (
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/listen"
)

// TestWatcherEndsWhileItsNoticeWaits: the owner that ends the watcher may be the one that the notice waits for.
func TestWatcherEndsWhileItsNoticeWaits(t *testing.T) {
	for what, end := range map[string]func(*Sockets){
		"rest": (*Sockets).Rest, "release": (*Sockets).Release, "leave": (*Sockets).Leave,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := open(t, loopback)
			if err := s.NeedBoard(); err != nil {
				t.Fatal(err)
			}
			waits := make(chan struct{}, 1)
			err := s.Watch(time.Millisecond, func(_ listen.Notice, quit <-chan struct{}) {
				select {
				case waits <- struct{}{}:
				default:
				}
				<-quit
			})
			if err != nil {
				t.Skip("NOT TESTED: ", err)
			}
			eventually.True(t, "the watcher rests", func() bool { return s.Board().Header().Asleep.Load() != 0 })
			s.Wake()
			<-waits
			if !s.Watched() {
				t.Fatal("not watched")
			}
			end(s)
			if s.Watched() {
				t.Error("watched after its end")
			}
		})
	}
}
