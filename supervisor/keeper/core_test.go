package keeper

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// FuzzCore plays any order of events, also impossible ones, and holds what must hold in all of them.
func FuzzCore(f *testing.F) {
	f.Add([]byte{0, 3, 2, 1, 9, 0, 3, 1, 9, 12, 10, 14})
	f.Add([]byte{3, 0, 5, 3, 1, 4, 0, 1, 0, 11, 8, 14, 13})
	f.Add([]byte{3, 1, 2, 2, 1, 2, 12, 10, 10, 13, 14})
	f.Fuzz(func(t *testing.T, script []byte) {
		now := time.Unix(1000, 0)
		c := &core{watchdog: time.Second, stopTimeout: 3 * time.Second, program: "/tine", fallback: "/own"}
		var alive []int // masters, as the shell knows them
		next, toStop, late, exits := 100, false, 0, 0
		var step func(ev event)
		step = func(ev event) {
			for _, e := range c.step(now, ev) {
				if exits > 0 {
					t.Fatalf("%#v after the exit", e)
				}
				switch e := e.(type) {
				case start:
					if toStop && e.program == "/own" { // else it may fail, and another is tried
						if late++; late > 1 {
							t.Fatal("a second start after a stop")
						}
					}
					if c.charge != nil {
						t.Fatalf("a start while master %d is in charge", c.charge.pid)
					}
					next++
					if next%5 == 0 {
						step(startFailed{e.program, errnos[next/5%len(errnos)]})
						break
					}
					alive = append(alive, next)
					step(started{next})
				case send:
					if !slices.Contains(alive, e.pid) {
						t.Fatalf("%s to %d, which is not alive", e.signal, e.pid)
					}
					m := c.masters[c.find(e.pid)]
					if !m.spoke && e.signal != syscall.SIGKILL && e.signal != syscall.SIGABRT && e.signal != syscall.SIGCONT &&
						!(stops(e.signal) && now.Sub(m.since) >= silence) {
						t.Fatalf("%s to %d, which has not said a word", e.signal, e.pid)
					}
				case exit:
					exits++
					if e.code < 0 || e.code > 255 {
						t.Errorf("exit code %d", e.code)
					}
				}
			}
			checkCore(t, c, ev)
			if c.phase == serving && c.charge == nil && c.startAt.IsZero() {
				t.Fatal("no master is in charge, and none will be started")
			}
		}
		step(begin{})
		for len(script) > 0 && exits == 0 {
			order := script[0]
			script = script[1:]
			pick := func() int { // a master, or a PID that is not one
				if len(alive) == 0 {
					return 7
				}
				return alive[int(order/16)%len(alive)]
			}
			end := func(st status) {
				pid := pick()
				alive = slices.DeleteFunc(alive, func(p int) bool { return p == pid })
				step(ended{pid, st})
			}
			switch order % 16 {
			case 0:
				end(status{signal: syscall.SIGKILL})
			case 1:
				end(status{code: int(order / 16)})
			case 2:
				end(status{lost: true})
			case 3:
				pid := pick()
				step(heard{pid, pid, message{ready: true}})
			case 4:
				pid := pick()
				step(heard{pid, pid, message{stopping: true}})
			case 5:
				if len(alive) < maxMasters && len(alive) > 0 {
					next++
					alive = append(alive, next)
					step(announced{next, []string{"", "/other"}[order/128]})
				}
			case 6:
				if len(alive) > 0 {
					step(announced{pick(), ""})
				}
			case 7:
				step(heard{pick(), 7, message{feed: true, trigger: order > 128}})
			case 8, 9:
				step(signalled{syscall.SIGHUP})
			case 10, 11:
				if order > 128 || len(script)%4 == 0 {
					toStop = true
					step(signalled{syscall.SIGTERM})
				}
			case 12:
				step(orphaned{})
			case 13:
				if len(alive) == 0 {
					step(childless{})
				}
			default:
				now = now.Add(time.Duration(order) * 10 * time.Millisecond)
				step(tick{})
			}
		}
		if exits > 0 {
			return
		}
		// Whatever has happened: told to stop, it ends, if those below it do.
		toStop = true
		step(signalled{syscall.SIGTERM})
		for range 100 {
			if exits > 0 {
				return
			}
			if len(alive) > 0 {
				pid := alive[0]
				alive = alive[1:]
				step(ended{pid, status{}})
				continue
			}
			step(childless{})
		}
		t.Fatalf("no end, in phase %d with masters %v", c.phase, c.masters)
	})
}
