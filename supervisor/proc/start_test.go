package proc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

func TestEnvironmentAndFolderOfTheChild(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := child(t, "env")
	c.Dir = dir
	c.Env = []string{"A=1", roleKey + "=env", "B=x=y"}
	out := newCollected()
	exitOf(t, mustStart(t, c, Options{Stdout: out.line}))
	if got, want := strings.Join(out.all(), " "), "A=1 "+roleKey+"=env B=x=y"; got != want {
		t.Errorf("environment is %q, want %q", got, want)
	}
	out = newCollected()
	c = shell(t, "pwd")
	c.Dir = dir
	exitOf(t, mustStart(t, c, Options{Stdout: out.line}))
	if got := strings.Join(out.all(), " "); got != dir {
		t.Errorf("folder is %q, want %q", got, dir)
	}
}

func TestStartTellsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, path, dir, want string
		err                   error
	}{
		{"missing", filepath.Join(dir, "nosuch"), "", "no such file", syscall.ENOENT},
		{"no interpreter", write("script", "#!/nosuch/sh\n", 0o755), "", "interpreter or loader that it names is missing", syscall.ENOENT},
		{"not a program", write("data", "\x01\x02", 0o755), "", "neither a program for this machine", syscall.ENOEXEC},
		{"not executable", write("plain", "x", 0o644), "", "permission denied", syscall.EACCES},
		{"no folder", "/bin/sh", filepath.Join(dir, "gone"), "working folder " + filepath.Join(dir, "gone"), syscall.ENOENT},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Start(Command{Path: c.path, Args: []string{"x"}, Dir: c.dir}, Options{Stdout: func([]byte, bool) {}})
			if err == nil {
				exitOf(t, p)
				t.Fatal("it started")
			}
			if !strings.HasPrefix(err.Error(), "cannot start "+c.path+": ") || !strings.Contains(err.Error(), c.want) || !errors.Is(err, c.err) {
				t.Errorf("error %q, want the path, %q and %v", err, c.want, c.err)
			}
		})
	}
	if _, err := Start(Command{Path: "/bin/sh"}, Options{}); err == nil {
		t.Error("a command without arguments was started")
	}
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if _, err := Start(Command{Path: "/bin/sh", Args: []string{"sh"}}, Options{Files: []*os.File{closed}}); err == nil {
		t.Error("a closed file was passed on")
	}
}

func TestOutOfDescriptors(t *testing.T) {
	got := again(t, "nofile", nil)
	if !strings.Contains(got, "too many open files (limit: RLIMIT_NOFILE is 40)") {
		t.Errorf("the error reads %q", got)
	}
}

func TestForkRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: needs root to become another user, whose number of processes can be limited")
	}
	got := again(t, "nproc", func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: 65533}}
	})
	if !strings.Contains(got, "resource temporarily unavailable (limit: RLIMIT_NPROC is 1)") {
		t.Errorf("the error reads %q", got)
	}
}

// The whole of a worker's birth and death, as the time from a kill to a replacement contains it.
func TestTimesOfStartAndExit(t *testing.T) {
	var starts, exits []time.Duration
	drop := func([]byte, bool) {}
	c := shell(t, "exec sleep 1000")
	for range 15 {
		at := time.Now()
		p := mustStart(t, c, Options{Stdout: drop, Stderr: drop})
		starts = append(starts, time.Since(at))
		at = time.Now()
		p.Kill()
		<-p.Exited()
		exits = append(exits, time.Since(at))
		eventually.Receive(t, "the end of the output", p.OutputDone())
	}
	t.Logf("median Start %s, median kill to Exited %s", median(starts), median(exits))
}

func median(ds []time.Duration) time.Duration {
	for i := range ds {
		for j := i; j > 0 && ds[j] < ds[j-1]; j-- {
			ds[j], ds[j-1] = ds[j-1], ds[j]
		}
	}
	return ds[len(ds)/2]
}

func BenchmarkStart(b *testing.B) {
	drop := func([]byte, bool) {}
	c, err := Resolve(Spec{Command: []string{"true"}, Env: os.Environ()})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, err := Start(c, Options{Stdout: drop, Stderr: drop})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		<-p.OutputDone()
		b.StartTimer()
	}
}

// BenchmarkForkExec is the system's part of BenchmarkStart.
func BenchmarkForkExec(b *testing.B) {
	c, err := Resolve(Spec{Command: []string{"true"}, Env: os.Environ()})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		pid, err := syscall.ForkExec(c.Path, c.Args, &syscall.ProcAttr{Env: c.Env})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		syscall.Wait4(pid, nil, 0, nil)
		b.StartTimer()
	}
}
