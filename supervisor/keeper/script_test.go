package keeper

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/script"
	"golang.org/x/sys/unix"
)

// TestScripts plays the scripts in testdata/*.txtar, in the format of package script. They are the specification of the
// core. The core's own words are:
//
//	config watchdog=DURATION stop=DURATION program=PATH fallback=PATH succeeds
//	                                         first line, optional; else no watchdog, 10s, /tine, none
//	begin
//	started PID   failed PATH ERRNO          answers to start
//	heard PID LINE...                        a notification
//	told PID LINE...                         one about it, from another
//	announced PID [PATH]
//	ended PID [code=N] [signal=N] [lost]
//	signal NAME                              TERM, INT, HUP, ...
//	orphaned   childless
//	look                                     a tick at once, before the next deadline or after it
//	about                                    what is told of it on the claim
//
// The core is not told of a pause: it finds out at the next event.
func TestScripts(t *testing.T) {
	script.Run(t, time.Unix(1000, 0), func(t *testing.T) *script.Core[event, effect] {
		c := &core{stopTimeout: DefaultStopTimeout, program: "/tine"}
		return &script.Core[event, effect]{
			Tick:     tick{},
			Deadline: c.deadline,
			Describe: describe,
			Step: func(now time.Time, ev event) ([]effect, error) {
				effects := c.step(now, ev)
				checkCore(t, c, ev)
				return effects, nil
			},
			Command: func(clock *script.Clock, words []string) ([]event, string, error) {
				switch words[0] {
				case "config":
					return nil, "", configure(t, c, words[1:])
				case "about":
					return nil, "= " + strings.ReplaceAll(strings.TrimSpace(c.about(7, clock.Now)), "\n", " | "), nil
				case "pause":
					return nil, "", nil
				}
				ev, err := eventOf(t, words)
				return []event{ev}, "", err
			},
		}
	})
}

func configure(t *testing.T, c *core, args []string) error {
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "watchdog":
			c.watchdog = duration(t, value)
		case "stop":
			c.stopTimeout = duration(t, value)
		case "program":
			c.program = value
		case "fallback":
			c.fallback = value
		case "succeeds":
			c.begun, c.served = true, true
		default:
			return fmt.Errorf("unknown setting %q", arg)
		}
	}
	return nil
}

// eventOf makes the event of one line.
func eventOf(t *testing.T, words []string) (event, error) {
	switch words[0] {
	case "begin":
		return begin{}, nil
	case "look":
		return tick{}, nil
	case "started":
		return started{integer(t, words[1])}, nil
	case "failed":
		return startFailed{words[1], errnoNamed(t, words[2])}, nil
	case "announced":
		return announced{integer(t, words[1]), optional(words, 2)}, nil
	case "heard", "told":
		m, err := parse([]byte(strings.Join(words[2:], "\n")))
		pid, by := integer(t, words[1]), 0
		if words[0] == "heard" {
			by = pid
		}
		return heard{pid, by, m}, err
	case "ended":
		var st status
		for _, w := range words[2:] {
			key, value, _ := strings.Cut(w, "=")
			switch key {
			case "code":
				st.code = integer(t, value)
			case "signal":
				st.signal = syscall.Signal(integer(t, value))
			case "lost":
				st.lost = true
			default:
				return nil, fmt.Errorf("unknown word %q", w)
			}
		}
		return ended{integer(t, words[1]), st}, nil
	case "signal":
		return signalled{signalNamed(t, words[1])}, nil
	case "orphaned":
		return orphaned{}, nil
	case "childless":
		return childless{}, nil
	}
	return nil, fmt.Errorf("unknown command %q", words[0])
}

func integer(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func optional(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return ""
}

// checkCore holds what holds always.
func checkCore(t *testing.T, c *core, ev event) {
	t.Helper()
	if _, ok := ev.(tick); !ok {
		return // which follows
	}
	if at := c.deadline(); !at.IsZero() && !at.After(c.now) && c.phase != done {
		t.Errorf("the deadline %s has not been seen to at %s: the loop would spin", at, c.now)
	}
	if !c.startAt.IsZero() && (c.charge != nil || c.phase != serving) {
		t.Errorf("a start is due in phase %d with %d masters", c.phase, len(c.masters))
	}
	if c.charge != nil && !slices.Contains(c.masters, c.charge) {
		t.Errorf("master %d is in charge, but not alive", c.charge.pid)
	}
	if c.phase == done && !c.deadline().IsZero() {
		t.Error("a deadline after the end")
	}
}

var signalNames = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1,
	"USR2": syscall.SIGUSR2, "TTIN": syscall.SIGTTIN, "ABRT": syscall.SIGABRT, "KILL": syscall.SIGKILL, "CONT": syscall.SIGCONT,
}

var errnos = []syscall.Errno{
	syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC, syscall.ETXTBSY, syscall.EISDIR, syscall.ENOTDIR, syscall.ELOOP, syscall.EIO,
	syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.E2BIG, syscall.EBADF,
}

func errnoNamed(t *testing.T, name string) syscall.Errno {
	t.Helper()
	i := slices.IndexFunc(errnos, func(e syscall.Errno) bool { return unix.ErrnoName(e) == name })
	if i < 0 {
		t.Fatalf("unknown errno %s", name)
	}
	return errnos[i]
}

func signalNamed(t *testing.T, name string) syscall.Signal {
	t.Helper()
	s, ok := signalNames[name]
	if !ok {
		t.Fatalf("unknown signal %s", name)
	}
	return s
}

func describe(e effect) string {
	switch e := e.(type) {
	case start:
		return "start " + e.program
	case send:
		for name, s := range signalNames {
			if s == e.signal {
				return fmt.Sprintf("send %d %s", e.pid, name)
			}
		}
		return fmt.Sprintf("send %d %d", e.pid, int(e.signal))
	case endOrphans:
		if e.kill {
			return "kill orphans"
		}
		return "end orphans"
	case tell:
		return "tell " + strings.ReplaceAll(strings.TrimSuffix(e.state, "\n"), "\n", " | ")
	case say:
		return "- " + e.text
	case exit:
		return fmt.Sprintf("exit %d", e.code)
	}
	return fmt.Sprintf("unknown %T", e)
}
