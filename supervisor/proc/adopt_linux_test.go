package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

// foster is a master that starts a process, leaves it to the process at the other end of descriptor 3, and reaps it: it is
// what the keeper is after the end of a master. It ends when that end closes.
func foster() {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var files []*os.File
	fds := []uintptr{0}
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			fail(err)
		}
		files = append(files, r)
		fds = append(fds, w.Fd())
		defer w.Close()
	}
	pidfd := -1
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", os.Args[1]},
		&syscall.ProcAttr{Files: fds, Sys: attributes(&pidfd), Env: os.Environ()})
	if err != nil {
		fail(err)
	}
	rights := unix.UnixRights(pidfd, int(files[0].Fd()), int(files[1].Fd()))
	if err := unix.Sendmsg(3, fmt.Append(nil, pid), rights, nil, 0); err != nil {
		fail(err)
	}
	for _, w := range fds[1:] {
		syscall.Close(int(w))
	}
	for _, r := range files {
		r.Close()
	}
	var status syscall.WaitStatus
	if os.Getenv("FOSTER") != "lazy" {
		_, _ = syscall.Wait4(pid, &status, 0, nil)
	}
	_, _ = unix.Read(3, make([]byte, 1))
}

// fostered starts a script below another process and returns what that leaves.
func fostered(t *testing.T, script string, env ...string) Left {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	cmd := exec.Command(exe, script)
	cmd.Env = append([]string{roleKey + "=foster", atOnce, "PATH=" + os.Getenv("PATH")}, env...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	t.Cleanup(func() {
		unix.Close(fds[0])
		_ = cmd.Wait()
	})
	b, oob := make([]byte, 20), make([]byte, unix.CmsgSpace(4*8))
	n, oobn, _, _, err := unix.Recvmsg(fds[0], b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		t.Fatalf("nothing was left: %v", err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		t.Fatal(err)
	}
	got, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		t.Fatal(err)
	}
	var l Left
	if _, err := fmt.Sscan(string(b[:n]), &l.PID); err != nil {
		t.Fatal(err)
	}
	l.PIDFD = os.NewFile(uintptr(got[0]), "pidfd")
	l.Stdout = os.NewFile(uintptr(got[1]), "stdout")
	l.Stderr = os.NewFile(uintptr(got[2]), "stderr")
	return l
}

func mustAdopt(t *testing.T, l Left, o Options) *Process {
	t.Helper()
	p, err := Adopt(l, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill()
		<-p.Exited()
		<-p.OutputDone()
	})
	return p
}

// needExitStatus skips where the system does not tell strangers how a process ended.
func needExitStatus(t *testing.T) {
	t.Helper()
	p := mustAdopt(t, fostered(t, "exit 0"), Options{})
	if e := exitOf(t, p); e.Unknown {
		t.Skip("NOT TESTED: this kernel does not tell a stranger how a process ended (Linux 6.15)")
	}
}

func TestAdoptHearsTheExit(t *testing.T) {
	needExitStatus(t)
	for _, c := range []struct {
		script, want string
	}{
		{"exit 0", "exit code 0"},
		{"read x; exit 3", "exit code 3"},
		{"kill -SEGV $$", "signal segmentation fault"},
	} {
		p := mustAdopt(t, fostered(t, c.script), Options{})
		if e := exitOf(t, p); e.String() != c.want || e.Unknown {
			t.Errorf("%s: %s, want %s", c.script, e, c.want)
		}
		if err := p.Send(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("a signal after the exit: %v", err)
		}
	}
}

// What was printed while no master read is delivered, and what follows too.
func TestAdoptReadsOn(t *testing.T) {
	l := fostered(t, "echo before; echo early >&2; kill -STOP $$; echo after; echo late >&2; exit 5")
	out, errs := newCollected(), newCollected()
	p := mustAdopt(t, l, Options{Stdout: out.line, Stderr: errs.line})
	out.wait(t, "before")
	errs.wait(t, "early")
	// It may not have stopped itself yet.
	for {
		if err := p.Send(syscall.SIGCONT); err != nil {
			break
		}
		if len(out.all()) > 1 {
			break
		}
	}
	out.wait(t, "after")
	exitOf(t, p)
	<-p.OutputDone()
	if got := strings.Join(append(out.all(), errs.all()...), " "); got != "before after early late" {
		t.Errorf("lines are %q", got)
	}
	if e := p.Exit(); e.LastLine != "late" {
		t.Errorf("last line is %q", e.LastLine)
	}
}

func TestAdoptedIsSignalled(t *testing.T) {
	needExitStatus(t)
	for name, do := range map[string]func(*Process) error{"terminated": (*Process).Terminate, "killed": (*Process).Kill} {
		out := newCollected()
		p := mustAdopt(t, fostered(t, "echo up; sleep 1000 & wait"), Options{Stdout: out.line})
		out.wait(t, "up")
		if err := do(p); err != nil {
			t.Fatal(err)
		}
		if e := exitOf(t, p); e.String() != "signal "+name {
			t.Errorf("%s: %s", name, e)
		}
	}
}

// What the leader has left behind in its group goes with it, though another process has reaped the leader.
func TestAdoptedGroupIsKilled(t *testing.T) {
	out := newCollected()
	p := mustAdopt(t, fostered(t, "sleep 1000 & echo $!; read x"), Options{Stdout: out.line})
	exitOf(t, p)
	<-p.OutputDone() // no process holds the pipe any more
	var pid int
	if _, err := fmt.Sscan(out.wait(t, ""), &pid); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
}

func TestAdoptsWhoHasEndedMeanwhile(t *testing.T) {
	needExitStatus(t)
	l := fostered(t, "echo last words; exit 4")
	if _, err := io.ReadFull(l.Stdout, make([]byte, 4)); err != nil { // "last"
		t.Fatal(err)
	}
	fds := []unix.PollFd{{Fd: int32(l.PIDFD.Fd()), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, int(eventually.Patience().Milliseconds())); err != nil {
		t.Fatal(err)
	}
	out := newCollected()
	p := mustAdopt(t, l, Options{Stdout: out.line})
	if e := exitOf(t, p); e.Code != 4 {
		t.Errorf("%s, want exit code 4", e)
	}
	out.wait(t, " words")
}

// A parent that does not reap holds up no adopter: the exit of the process is known all the same, whatever it was.
func TestAdoptedThatIsNotReaped(t *testing.T) {
	for script, want := range map[string]Exit{
		"exit 0": {}, "exit 9": {Code: 9}, "kill -SEGV $$": {Code: -1, Signal: syscall.SIGSEGV}, "kill -KILL $$": {Code: -1, Signal: syscall.SIGKILL},
	} {
		p, err := Adopt(fostered(t, script, "FOSTER=lazy"), Options{}, func() (syscall.WaitStatus, bool) { return 7 << 8, true })
		if err != nil {
			t.Fatal(err)
		}
		if e := exitOf(t, p); e != want {
			t.Errorf("%s: %+v, want %+v", script, e, want)
		}
	}
}

// Where the exit may not be read, a parent that does not reap holds up the adopter only for a while, and then another is asked.
func TestAdoptedThatNobodyReaps(t *testing.T) {
	before := maySee
	maySee = func(int) bool { return false }
	t.Cleanup(func() { maySee = before })
	l := fostered(t, "exit 9", "FOSTER=lazy")
	p, err := Adopt(l, Options{}, func() (syscall.WaitStatus, bool) { return 7 << 8, true })
	if err != nil {
		t.Fatal(err)
	}
	if e := exitOf(t, p); e.Code != 7 {
		t.Errorf("%s, want exit code 7", e)
	}
	p, err = Adopt(fostered(t, "exit 9", "FOSTER=lazy"), Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := exitOf(t, p); !e.Unknown || e.Code != -1 || e.String() != "unknown" {
		t.Errorf("%+v, want an unknown end", e)
	}
}

func TestAdoptRefusesWhatIsNotTheProcess(t *testing.T) {
	for name, spoil := range map[string]func(*Left){
		"another PID": func(l *Left) { l.PID++ },
		"init":        func(l *Left) { l.PID = 1 },
		"no pidfd":    func(l *Left) { l.PIDFD.Close(); l.PIDFD = nil },
		"not a pidfd": func(l *Left) { l.PIDFD.Close(); l.PIDFD, _ = os.Open(os.DevNull) },
	} {
		l := fostered(t, "sleep 1000")
		pid := l.PID
		spoil(&l)
		if p, err := Adopt(l, Options{}, nil); err == nil {
			t.Errorf("%s: adopted %d", name, p.PID())
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("%s: the process is gone: %v", name, err)
		}
	}
}

// One that Start has started can be left: the files are those that Adopt takes.
func TestLeave(t *testing.T) {
	out := newCollected()
	p := mustStart(t, shell(t, "echo up; sleep 1000"), Options{Stdout: out.line, Stderr: out.line})
	out.wait(t, "up")
	l, err := p.Leave()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.PID != p.PID() || l.PIDFD == nil || l.Stdout == nil || l.Stderr == nil {
		t.Errorf("%+v", l)
	}
	if err := isPidfdOf(l.PIDFD, p.PID()); err != nil {
		t.Error(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	exitOf(t, p)
	if _, err := p.Leave(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v, want %v", err, os.ErrProcessDone)
	}
}
