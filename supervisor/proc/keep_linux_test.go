package proc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

// countLines prints numbered lines until SIGUSR1: on stdout as fast as they are taken, in writes of every size, on stderr
// slowly, in two parts each. The last of each stream says so.
func countLines() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	end := make(chan struct{})
	go func() {
		<-told
		close(end)
	}()
	over := func() bool {
		select {
		case <-end:
			return true
		default:
			return false
		}
	}
	var printing sync.WaitGroup
	printing.Go(func() {
		var text []byte
		n := 0
		for ; !over(); n++ {
			text = fmt.Appendf(text, "%d %s.\n", n, strings.Repeat("x", rand.IntN(300)))
			if rand.IntN(500) == 0 { // not at the end of a line
				k := rand.IntN(len(text))
				_, _ = os.Stdout.Write(text[:k])
				text = append(text[:0], text[k:]...)
			}
		}
		_, _ = fmt.Fprintf(os.Stdout, "%s%d end.\n", text, n)
	})
	printing.Go(func() {
		n := 0
		for ; !over(); n++ {
			fmt.Fprintf(os.Stderr, "%d half", n)
			time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
			fmt.Fprint(os.Stderr, " and half.\n")
		}
		fmt.Fprintf(os.Stderr, "%d end.\n", n)
	})
	printing.Wait()
}

// adoptAndCopy adopts the process that descriptors 3 to 5 are of and copies its lines to descriptor 6, each behind the
// letter of its stream. A write there is one that a signal cannot tear.
func adoptAndCopy() {
	pid, err := strconv.Atoi(os.Args[1])
	check(err)
	file := func(fd int) *os.File {
		unix.CloseOnExec(fd)
		return os.NewFile(uintptr(fd), "inherited")
	}
	out := func(letter byte) (LineFunc, WrittenFunc) {
		var text []byte
		flush := func(bool) {
			for len(text) > 0 {
				n := len(text)
				if n > 4096 {
					n = bytes.LastIndexByte(text[:4096], '\n') + 1
				}
				_, err := unix.Write(6, text[:n])
				check(err)
				text = text[n:]
			}
			text = text[:0]
		}
		return func(line []byte, more bool) {
			text = append(append(append(text, letter), line...), '\n')
			if len(text) > 32<<10 {
				flush(true)
			}
		}, flush
	}
	var o Options
	o.Stdout, o.StdoutWritten = out('o')
	o.Stderr, o.StderrWritten = out('e')
	p, err := Adopt(Left{PID: pid, PIDFD: file(3), Stdout: file(4), Stderr: file(5)}, o, nil)
	check(err)
	<-p.Exited()
	<-p.OutputDone()
}

// counted checks that numbered lines come in order and whole. Lines may come again.
type counted struct {
	next, again int
	ended       bool
}

func (c *counted) line(text string) error {
	number, rest, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || !strings.HasSuffix(rest, "."):
		return fmt.Errorf("torn before %d: %.100q", c.next, text)
	case n > c.next:
		return fmt.Errorf("%d comes, %d is missing", n, c.next)
	case n < c.next:
		c.again++
	default:
		c.next++
		c.ended = rest == "end."
	}
	return nil
}

func counting(t *testing.T) Left {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fostered(t, roleKey+"=count exec "+exe)
}

// The reader is killed at any moment, and the next one goes on: no line is lost or torn.
func TestKilledReadersLoseNothing(t *testing.T) {
	l := counting(t)
	defer l.Close()
	defer func() { _ = syscall.Kill(l.PID, syscall.SIGKILL) }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var out, errs counted
	var wrong []error
	var came atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.Close()
		for lines := bufio.NewScanner(r); lines.Scan(); came.Add(1) {
			c := &out
			if strings.HasPrefix(lines.Text(), "e") {
				c = &errs
			}
			if err := c.line(lines.Text()[1:]); err != nil && len(wrong) < 5 {
				wrong = append(wrong, fmt.Errorf("%c: %w", lines.Text()[0], err))
			}
		}
	}()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	reader := func() *exec.Cmd {
		cmd := exec.Command(exe, strconv.Itoa(l.PID))
		cmd.Env = []string{roleKey + "=copy", "GOMAXPROCS=2"}
		cmd.ExtraFiles = []*os.File{l.PIDFD, l.Stdout, l.Stderr, w}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	const readers = 100
	worked := 0
	for range readers {
		before := came.Load()
		cmd := reader()
		if rand.IntN(20) > 0 { // else it is killed while it starts
			until := before + 1 + rand.Int64N(500)
			eventually.True(t, "a reader delivers lines", func() bool { return came.Load() >= until })
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if came.Load() > before {
			worked++
		}
	}
	cmd := reader()
	if err := syscall.Kill(l.PID, syscall.SIGUSR1); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	w.Close()
	eventually.Receive(t, "the end of the lines", done)
	for _, err := range wrong {
		t.Error(err)
	}
	if !out.ended || !errs.ended {
		t.Errorf("the last line is missing: after %d and %d", out.next, errs.next)
	}
	t.Logf("%d of %d readers delivered; %d lines, %d again; slowly %d lines, %d again", worked, readers, out.next, out.again, errs.next, errs.again)
}

// A process that is left in order is read on by the next with no line missing, torn or twice.
func TestQuit(t *testing.T) {
	l := counting(t)
	var out, errs counted
	var mu sync.Mutex
	var came atomic.Int64
	var wrong []error
	count := func(c *counted, late *atomic.Bool) LineFunc {
		return func(line []byte, more bool) {
			came.Add(1)
			again := c.again
			err := c.line(string(line))
			if err == nil && c.again > again {
				err = fmt.Errorf("twice: %.100q", line)
			}
			if late.Load() {
				err = errors.Join(err, errors.New("a line came after Quit"))
			}
			if err != nil {
				mu.Lock()
				wrong = append(wrong, err)
				mu.Unlock()
			}
		}
	}
	for range 100 {
		var late atomic.Bool
		p, err := Adopt(l, Options{Stdout: count(&out, &late), Stderr: count(&errs, &late)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		until := came.Load() + rand.Int64N(500)
		eventually.True(t, "lines are delivered", func() bool { return came.Load() >= until })
		if l, err = p.Leave(); err != nil {
			t.Fatal(err)
		}
		p.Quit()
		late.Store(true)
		p.Quit()
		if err := p.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
			t.Errorf("a signal after Quit: %v", err)
		}
		select {
		case <-p.Exited():
			t.Fatal("Quit says that the process has ended")
		default:
		}
	}
	var late atomic.Bool
	p := mustAdopt(t, l, Options{Stdout: count(&out, &late), Stderr: count(&errs, &late)})
	if err := p.Send(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	exitOf(t, p)
	for _, err := range wrong[:min(len(wrong), 5)] {
		t.Error(err)
	}
	if !out.ended || !errs.ended {
		t.Errorf("the last line is missing: after %d and %d", out.next, errs.next)
	}
	t.Logf("%d lines, slowly %d", out.next, errs.next)
}

// A child that its own parent has left can be adopted by it again, and reaped.
func TestQuitOfAChild(t *testing.T) {
	var fds [2]int // os.Pipe's do not block, nor does the shell that reads one then
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	defer r.Close()
	defer w.Close()
	out := newCollected()
	p, err := Start(shell(t, "echo one; read x <&3; echo two; exit 3"), Options{Files: []*os.File{r}, Stdout: out.line})
	if err != nil {
		t.Fatal(err)
	}
	out.wait(t, "one")
	l, err := p.Leave()
	if err != nil {
		t.Fatal(err)
	}
	p.Quit()
	if _, err := p.Leave(); err == nil {
		t.Error("it is left twice")
	}
	fmt.Fprintln(w)
	next := newCollected()
	if e := exitOf(t, mustAdopt(t, l, Options{Stdout: next.line})); e.Code != 3 {
		t.Errorf("%s, want exit code 3", e)
	}
	if got := strings.Join(next.all(), "|"); got != "two" {
		t.Errorf("lines are %q, want two", got)
	}
}
