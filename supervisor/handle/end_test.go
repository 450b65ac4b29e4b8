package handle

import (
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/proc"
)

// TestAwaitEnd: the end of the channel is the end of a worker that is killed, and of no other.
func TestAwaitEnd(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	for _, c := range []struct {
		name, script string
		read         <-chan struct{}
		code         int
		signal       syscall.Signal
	}{
		{"killed", "kill -KILL $$", ended, -1, syscall.SIGKILL},
		{"killed, a stranger holds the channel", "kill -KILL $$", make(chan struct{}), -1, syscall.SIGKILL},
		{"closed its channel and exits later", "sleep 0.1; exit 3", ended, 3, 0},
		{"finished", "exit 0", ended, 0, 0},
	} {
		p, err := proc.Start(proc.Command{Path: "/bin/sh", Args: []string{"sh", "-c", c.script}, Dir: t.TempDir()}, proc.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan proc.Exit, 1)
		go func() {
			e, known := awaitEnd(p, c.read)
			if !known {
				t.Errorf("%s: not known", c.name)
			}
			got <- e
		}()
		select {
		case e := <-got:
			if e.Code != c.code || e.Signal != c.signal {
				t.Errorf("%s: %s, want code %d, signal %d", c.name, e, c.code, c.signal)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: its end was not noticed", c.name)
		}
		<-p.OutputDone()
	}
}
