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

// Whoever reads is killed at any moment, and the next one goes on: no line is lost or torn.
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
		for deadline := time.Now().Add(patience); came.Load() == before && rand.IntN(20) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a reader delivers nothing")
			}
		}
		time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
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
	await(t, done, "the end of the lines")
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
	t.Run("soon", func(t *testing.T) { quitOften(t, 100, func(*Process) {}) })
	t.Run("while lines gather", func(t *testing.T) {
		gathered := 0
		quitOften(t, 10, func(p *Process) {
			for deadline := time.Now().Add(2 * time.Second); !p.pumps[1].gathers() && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			if p.pumps[1].gathers() {
				gathered++
			}
		})
		t.Logf("%d of 10 times lines gathered", gathered) // on a loaded machine they may not
	})
}

func quitOften(t *testing.T, times int, after func(*Process)) {
	l := counting(t)
	var out, errs counted
	var mu sync.Mutex
	var wrong []error
	count := func(c *counted, late *atomic.Bool) LineFunc {
		return func(line []byte, more bool) {
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
	for range times {
		var late atomic.Bool
		p, err := Adopt(l, Options{Stdout: count(&out, &late), Stderr: count(&errs, &late)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		after(p)
		time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
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
	out := newOutput()
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
	next := newOutput()
	if e := exitOf(t, mustAdopt(t, l, Options{Stdout: next.line})); e.Code != 3 {
		t.Errorf("%s, want exit code 3", e)
	}
	if got := strings.Join(next.all(), "|"); got != "two" {
		t.Errorf("lines are %q, want two", got)
	}
}

// held starts a pump and says what is in its pipe.
func held(t *testing.T, max int, line LineFunc, written WrittenFunc) (end *os.File, inside func() int) {
	t.Helper()
	r, w, err := outputPipe()
	if err != nil {
		t.Fatal(err)
	}
	look, err := duplicate(r)
	if err != nil {
		t.Fatal(err)
	}
	end = os.NewFile(uintptr(w), "w")
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&pump{stream: stream{file: r, written: written}, deliver: line, max: max}).run()
	}()
	t.Cleanup(func() {
		end.Close()
		await(t, done, "the end of the pump")
		unix.Close(look)
	})
	return end, func() int {
		n, err := unix.IoctlGetInt(look, unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

func TestLineStaysInThePipeUntilItIsWritten(t *testing.T) {
	asked, allowed := make(chan bool), make(chan struct{})
	out := newOutput()
	end, inside := held(t, 100, out.line, func(hurry bool) {
		asked <- hurry
		<-allowed
	})
	fmt.Fprint(end, "a line\nand a part")
	if hurry := <-asked; hurry {
		t.Error("a line is in a hurry")
	}
	if n := inside(); n != 17 || len(out.all()) != 1 {
		t.Errorf("%d bytes are in the pipe, want 17; lines %q", n, out.all())
	}
	allowed <- struct{}{}
	eventually(t, "only the part is in the pipe", func() bool { return inside() == 10 })
	fmt.Fprint(end, " is whole\n")
	<-asked
	if got := out.all(); len(got) != 2 || got[1] != "and a part is whole" {
		t.Errorf("lines are %q", got)
	}
	allowed <- struct{}{}
	eventually(t, "nothing is in the pipe", func() bool { return inside() == 0 })
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// A line is delivered whole, and its writer does not wait for ever, whatever the pipe is filled with: one byte in each of
// its slots, or more than it can be made to take.
func TestLineThatFillsThePipe(t *testing.T) {
	t.Run("a byte in each slot", func(t *testing.T) {
		out := newOutput()
		end, _ := held(t, DefaultMaxLine, out.line, nil)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		const slots = 500
		spliced := make(chan error, 1)
		go func() {
			for i := range slots {
				b := byte('x')
				if i == slots-1 {
					b = '\n'
				}
				if _, err := w.Write([]byte{b}); err != nil {
					spliced <- err
					return
				}
				if _, err := unix.Splice(int(r.Fd()), nil, int(end.Fd()), nil, 1, 0); err != nil {
					spliced <- err
					return
				}
			}
			spliced <- nil
		}()
		out.wait(t, strings.Repeat("x", slots-1))
		if err := <-spliced; err != nil {
			t.Error(err)
		}
	})
	t.Run("longer than the pipe", func(t *testing.T) {
		out := newOutput()
		end, inside := held(t, 2<<20, out.line, nil)
		long := strings.Repeat("y", 1<<20)
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			fmt.Fprintln(end, long)
		}()
		out.wait(t, long)
		<-wrote
		eventually(t, "nothing is in the pipe", func() bool { return inside() == 0 })
	})
}

// What is no pipe cannot be copied: it is read as ever.
func TestWithoutCopies(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := newOutput()
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&pump{stream: stream{file: pollable(fds[0])}, deliver: out.line, max: 100}).run()
	}()
	end := os.NewFile(uintptr(fds[1]), "end")
	fmt.Fprint(end, "one\ntw")
	out.wait(t, "one")
	fmt.Fprint(end, "o\nthree")
	end.Close()
	await(t, done, "the end of the pump")
	if got := strings.Join(out.all(), "|"); got != "one|two|three" {
		t.Errorf("lines are %q", got)
	}
}
