package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/ipc/eventually"
)

// pseudoTerminal is one with a program in it.
type pseudoTerminal struct {
	t    *testing.T
	side *os.File // the user's
	cmd  *exec.Cmd
	read chan struct{} // closed when all output is there

	mu     sync.Mutex
	output bytes.Buffer
	width  uint16
}

func startInTerminal(t *testing.T, env []string, args ...string) *pseudoTerminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo terminal here: %v", err)
	}
	p := &pseudoTerminal{t: t, side: os.NewFile(uintptr(fd), "ptmx"), read: make(chan struct{}), width: 100}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	p.resize()
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminal here: %v", err)
	}
	defer tty.Close()
	p.cmd = exec.Command(tinePath, args...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	p.cmd.Env = append(append(os.Environ(), "TERM=xterm-256color"), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.read)
		b := make([]byte, 4096)
		for {
			n, err := p.side.Read(b)
			p.mu.Lock()
			p.output.Write(b[:n])
			p.mu.Unlock()
			if err != nil { // EIO when the program has ended
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.side.Close()
		<-p.read
	})
	return p
}

// resize makes it a column wider or narrower, at which the screen is drawn anew.
func (p *pseudoTerminal) resize() {
	p.t.Helper()
	p.width ^= 1
	if err := unix.IoctlSetWinsize(int(p.side.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: p.width}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pseudoTerminal) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

var sequences = regexp.MustCompile(`\x1b\[[0-9;?]*[a-zA-Z]`)

// shows waits until a text is on the screen. Between, the size changes: what is drawn
// is only what changed, which can leave out a part of the text.
func (p *pseudoTerminal) shows(want string) {
	p.t.Helper()
	mark := 0
	looks := 0
	eventually.NoError(p.t, fmt.Sprintf("the screen shows %q", want), func() error {
		if looks%100 == 0 {
			mark = len(p.text())
			p.resize()
		}
		looks++
		if !strings.Contains(sequences.ReplaceAllString(p.text()[mark:], ""), want) {
			return fmt.Errorf("it shows %q", p.text())
		}
		return nil
	})
}

func (p *pseudoTerminal) keys(text string) {
	p.t.Helper()
	if _, err := p.side.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pseudoTerminal) wait() error {
	p.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	err := eventually.Receive(p.t, "the program ends", ended)
	<-p.read
	return err
}

func TestTopInATerminal(t *testing.T) {
	t.Parallel()
	m := startReady(t, `
apps:
  web:
    command: [$MEMBER]
    workers: 2
    $FAST
`)
	env := []string{"TINE_CONTROL=" + socketIn(m.dir)}
	p := startInTerminal(t, env, "top")
	p.shows("2/2 ready")
	mark := m.mark()
	p.keys("r")
	p.shows("reload all workers of web? y/N")
	p.keys("y")
	m.awaitFrom(mark, is("rollout done"))
	p.shows("reload of web: done")
	p.keys("q")
	if err := p.wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if out := p.text(); !strings.Contains(out, "\x1b[?1049h") || !strings.Contains(out, "\x1b[?1049l") {
		t.Errorf("the terminal is not given back as it was: %q", out)
	}

	// The last picture stays when the master ends; NO_COLOR holds.
	p = startInTerminal(t, append(env, "NO_COLOR=1"), "top", "web")
	p.shows("2/2 ready")
	m.signal(syscall.SIGTERM)
	p.shows("THE MASTER HAS ENDED")
	p.shows("2/2 ready")
	p.keys("q")
	if err := p.wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if out := p.text(); regexp.MustCompile(`\x1b\[(3|4|9|10)[0-9;]+m`).MatchString(out) {
		t.Errorf("colours with NO_COLOR: %q", out)
	}
}

func TestTopNeedsATerminal(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(tinePath, "top")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != term.ExitUsage {
		t.Errorf("it ends with %v", err)
	}
	if text := stderr.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "tine status --json") {
		t.Errorf("it says %q", text)
	}
}
