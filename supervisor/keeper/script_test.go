package keeper

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write what the core does into the scripts: read the difference")

// TestScripts plays the scripts in testdata/*.txtar. They are the specification of the core. Each file of an archive is a
// story of its own, with a new core:
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
//	about                                    what is told of it on the claim
//	wait DURATION                            time goes by, with a tick at every deadline
//	pause DURATION                           time goes by in which the keeper does not run
//	tick
//
// A line that begins with # is a comment, an indented one is what the core answers. What a tick brings is preceded by the
// time since the start. Run with -update to write the answers.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("cannot find scripts: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		changed := false
		for i := range archive.Files {
			story := &archive.Files[i]
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+story.Name, func(t *testing.T) {
				got := playScript(t, story.Data)
				if bytes.Equal(got, story.Data) {
					return
				}
				if *update {
					story.Data, changed = got, true
					return
				}
				t.Errorf("%s: the core does something else:\n%s", file, got)
			})
		}
		if changed {
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func playScript(t *testing.T, story []byte) []byte {
	t.Helper()
	beginning := time.Unix(1000, 0)
	now := beginning
	c := &core{stopTimeout: DefaultStopTimeout, program: "/tine"}
	var out bytes.Buffer
	step := func(prefix string, ev event) {
		for _, e := range c.step(now, ev) {
			fmt.Fprintf(&out, "    %s%s\n", prefix, describe(e))
		}
		checkCore(t, c, ev)
	}
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return n
	}
	duration := func(text string) time.Duration {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	lines := bufio.NewScanner(bytes.NewReader(story))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, " ") {
			continue // what was answered last time
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		switch words[0] {
		case "config":
			for _, w := range words[1:] {
				key, value, _ := strings.Cut(w, "=")
				switch key {
				case "watchdog":
					c.watchdog = duration(value)
				case "stop":
					c.stopTimeout = duration(value)
				case "program":
					c.program = value
				case "fallback":
					c.fallback = value
				case "succeeds":
					c.begun, c.served = true, true
				default:
					t.Fatalf("unknown: %s", line)
				}
			}
		case "about":
			fmt.Fprintf(&out, "    = %s\n", strings.Join(strings.Split(strings.TrimSpace(c.about(7, now)), "\n"), " | "))
		case "begin":
			step("", begin{})
		case "started":
			step("", started{number(words[1])})
		case "failed":
			step("", startFailed{words[1], errnoNamed(t, words[2])})
		case "announced":
			step("", announced{number(words[1]), optional(words, 2)})
		case "heard", "told":
			m, err := parse([]byte(strings.Join(words[2:], "\n")))
			if err != nil {
				t.Fatal(err)
			}
			pid, by := number(words[1]), 0
			if words[0] == "heard" {
				by = pid
			}
			step("", heard{pid, by, m})
		case "ended":
			var st status
			for _, w := range words[2:] {
				key, value, _ := strings.Cut(w, "=")
				switch key {
				case "code":
					st.code = number(value)
				case "signal":
					st.signal = syscall.Signal(number(value))
				case "lost":
					st.lost = true
				default:
					t.Fatalf("unknown: %s", line)
				}
			}
			step("", ended{number(words[1]), st})
		case "signal":
			step("", signalled{signalNamed(t, words[1])})
		case "orphaned":
			step("", orphaned{})
		case "childless":
			step("", childless{})
		case "pause":
			now = now.Add(duration(words[1]))
		case "tick":
			step("", tick{})
		case "wait":
			end := now.Add(duration(words[1]))
			for ticks := 0; ; ticks++ {
				at := c.deadline()
				if at.IsZero() || at.After(end) {
					break
				}
				if ticks > 1000 {
					t.Fatalf("%s: %d ticks, and the next deadline is %s", line, ticks, at.Sub(beginning))
				}
				if at.After(now) {
					now = at
				}
				step(now.Sub(beginning).String()+" ", tick{})
			}
			now = end
		default:
			t.Fatalf("unknown: %s", line)
		}
	}
	return out.Bytes()
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
