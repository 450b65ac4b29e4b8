package signals

import (
	"syscall"
	"testing"
	"time"
)

func TestDedup(t *testing.T) {
	began := time.Now()
	type come struct {
		sig  syscall.Signal
		at   time.Duration
		held bool
	}
	for name, c := range map[string]struct {
		alone bool
		come  []come
	}{
		"stop to both":         {false, []come{{syscall.SIGTERM, 0, false}, {syscall.SIGTERM, time.Millisecond, true}}},
		"stop twice":           {false, []come{{syscall.SIGTERM, 0, false}, {syscall.SIGINT, time.Millisecond, false}}},
		"stop to both, twice":  {false, []come{{syscall.SIGINT, 0, false}, {syscall.SIGINT, 0, true}, {syscall.SIGINT, 1, true}, {syscall.SIGTERM, 2, false}}},
		"stop again":           {false, []come{{syscall.SIGTERM, 0, false}, {syscall.SIGTERM, twinStop, false}}},
		"stop without keeper":  {true, []come{{syscall.SIGTERM, 0, false}, {syscall.SIGTERM, 0, false}}},
		"rollout":              {false, []come{{syscall.SIGUSR2, 0, true}, {syscall.SIGUSR2, 0, true}}},
		"rollout, no keeper":   {true, []come{{syscall.SIGUSR2, 0, false}, {syscall.SIGUSR2, 0, false}}},
		"workers more or less": {false, []come{{syscall.SIGTTIN, 0, false}, {syscall.SIGTTIN, 0, false}, {syscall.SIGTTOU, 0, false}}},
		"the others":           {false, []come{{syscall.SIGHUP, 0, false}, {syscall.SIGHUP, 0, false}, {syscall.SIGUSR1, 0, false}, {syscall.SIGUSR1, 0, false}}},
	} {
		w := dedup{kept: func() bool { return !c.alone }}
		for i, s := range c.come {
			if held := w.hold(s.sig, began.Add(s.at)); held != s.held {
				t.Errorf("%s: signal %d (%v) is held: %v", name, i, s.sig, held)
			}
		}
		if rolls := c.come[0].sig == syscall.SIGUSR2 && !c.alone; (w.wait != nil) != rolls {
			t.Errorf("%s: a rollout waits: %v", name, w.wait != nil)
		}
	}
}
