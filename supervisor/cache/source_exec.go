package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
)

// lingering is how long the output of a command is read on after its exit: only a process that left the command's
// group still holds the pipe then, and no value waits for that.
const lingering = 500 * time.Millisecond

// Exec is the source that runs a command: what it prints to standard output, less one newline at the end, is the value,
// if it exits with 0. The command has its own process group, which is killed whole when the context is done, when
// it prints more than MaxFetched, and when the command has exited. env is added to the master's environment, without
// what there is meant for the master alone.
func Exec(command []string, dir string, env []string) Source {
	return &execSource{command: command, dir: dir, env: env, limit: MaxFetched}
}

type execSource struct {
	command []string
	dir     string
	env     []string
	limit   int64
}

func (s *execSource) String() string {
	if len(s.command) == 3 && s.command[0] == "sh" && s.command[1] == "-c" {
		return "exec: " + s.command[2]
	}
	return "exec: " + strings.Join(s.command, " ")
}

func (s *execSource) Fetch(ctx context.Context) (*ipc.Payload, error) {
	if len(s.command) == 0 {
		return nil, errors.New("cannot run a command: it is empty")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stdout, stdoutEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", s.command[0], err)
	}
	defer stdout.Close()
	stderr, stderrEnd, err := os.Pipe()
	if err != nil {
		stdoutEnd.Close()
		return nil, fmt.Errorf("cannot run %s: %w", s.command[0], err)
	}
	defer stderr.Close()

	// No CommandContext and no io.Writer for the output: os/exec would kill the leader alone, and wait for grandchildren.
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, stdoutEnd, stderrEnd
	cmd.Env = append(ipc.ScrubEnv(os.Environ()), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	stdoutEnd.Close()
	stderrEnd.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", s.command[0], err)
	}

	g := group{pid: cmd.Process.Pid}
	var readers sync.WaitGroup
	var value *ipc.Payload
	var readErr error
	var lastLine string
	readers.Go(func() {
		value, readErr = ipc.ReadPayload(&trimmed{from: readToDeadline(stdout)}, s.limit)
		if readErr != nil {
			g.kill()
		}
	})
	readers.Go(func() { lastLine = tail(readToDeadline(stderr)) })

	exited := make(chan error, 1)
	go func() {
		exited <- waitAndClean(cmd, &g)
	}()
	var waitErr error
	select {
	case waitErr = <-exited:
	case <-ctx.Done():
		g.kill()
		// Not bounded: a process that even SIGKILL does not end leaves this Fetch hanging, and the job says so.
		waitErr = <-exited
	}
	deadline := time.Now().Add(lingering)
	stdout.SetReadDeadline(deadline)
	stderr.SetReadDeadline(deadline)
	readers.Wait()

	if err := s.outcome(ctx, waitErr, readErr, lastLine); err != nil {
		if value != nil {
			value.Release()
		}
		return nil, err
	}
	return value, nil
}

// outcome says in one error what went wrong with a command that has ended.
func (s *execSource) outcome(ctx context.Context, wait, read error, lastLine string) error {
	said := ""
	if lastLine != "" {
		said = ": " + lastLine
	}
	name := s.command[0]
	switch {
	case errors.Is(read, ipc.ErrTooLarge):
		return tooLarge(name+" printed", s.limit)
	case ctx.Err() != nil && wait != nil:
		return fmt.Errorf("%s was killed: %w%s", name, context.Cause(ctx), said)
	case wait != nil:
		return fmt.Errorf("%s failed: %w%s", name, wait, said)
	case read != nil:
		return fmt.Errorf("cannot read what %s printed: %w", name, read)
	}
	return nil
}

// group is the process group of a command, which may be killed until its leader has been reaped: after that the number
// may be another's.
type group struct {
	mu     sync.Mutex
	pid    int
	reaped bool
}

func (g *group) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.reaped {
		_ = syscall.Kill(-g.pid, syscall.SIGKILL)
	}
}

// close kills what the leader left behind, for the last time.
func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = syscall.Kill(-g.pid, syscall.SIGKILL)
	g.reaped = true
}

// untilDeadline reads a pipe until its deadline, and then only what is in it already: a deadline that is over fails every
// read, also of what was there long before, and this process may not have run since.
type untilDeadline struct {
	*os.File
	late *int // bytes that were read after the deadline
}

// maxLate bounds these: a process that still writes then may never stop. No pipe holds more without privilege.
const maxLate = 1 << 20

func readToDeadline(f *os.File) io.Reader { return untilDeadline{f, new(int)} }

func (r untilDeadline) Read(b []byte) (int, error) {
	n, err := r.File.Read(b)
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	raw, err := r.SyscallConn()
	if err != nil {
		return 0, err
	}
	b = b[:min(len(b), maxLate-*r.late)]
	n = 0
	var readErr error
	err = raw.Control(func(fd uintptr) {
		for {
			if n, readErr = syscall.Read(int(fd), b); readErr != syscall.EINTR {
				return
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case readErr == syscall.EAGAIN || readErr == nil && n <= 0:
		return 0, io.EOF
	case readErr != nil:
		return 0, readErr
	}
	*r.late += n
	return n, nil
}

// trimmed passes on everything but one newline at the very end, as a stream: a value may be large.
type trimmed struct {
	from              io.Reader
	buf               [16 << 10]byte
	start, ready, end int // buf[start:ready] may go out; buf[ready:end] may be the last newline
	err               error
}

func (t *trimmed) Read(b []byte) (int, error) {
	for t.start == t.ready {
		if t.err != nil {
			if t.end-t.ready != 1 || t.buf[t.ready] != '\r' {
				return 0, t.err
			}
			t.ready = t.end // it is not a newline after all
			break
		}
		t.start, t.end = 0, copy(t.buf[:], t.buf[t.ready:t.end])
		n, err := t.from.Read(t.buf[t.end:])
		t.end, t.err = t.end+n, err
		t.ready = newlineAt(t.buf[:t.end])
	}
	n := copy(b, t.buf[t.start:t.ready])
	t.start += n
	return n, nil
}

// newlineAt returns where the last newline begins if b ends with it or with the beginning of one, else len(b).
func newlineAt(b []byte) int {
	n := len(b)
	switch {
	case n >= 2 && b[n-2] == '\r' && b[n-1] == '\n':
		return n - 2
	case n >= 1 && (b[n-1] == '\n' || b[n-1] == '\r'):
		return n - 1
	}
	return n
}

// tail reads to the end and returns the last line that is not empty, at most its first 300 bytes.
func tail(r io.Reader) string {
	const most = 300
	var line, last []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		for _, c := range buf[:n] {
			switch {
			case c == '\n':
				if len(line) > 0 {
					last = append(last[:0], line...)
				}
				line = line[:0]
			case c >= ' ' && len(line) < most:
				line = append(line, c)
			}
		}
		if err != nil {
			if len(line) == 0 {
				line = last
			}
			return strings.ToValidUTF8(string(line), "?")
		}
	}
}
