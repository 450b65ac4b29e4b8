//go:build unix

package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// TestMain is a master too: see runMaster.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HANDOVER_TEST"); dir != "" {
		os.Exit(runMaster(dir))
	}
	os.Exit(m.Run())
}

// runMaster is a master that is told on stdin to upgrade, and whose children behave as the file behave says. What it has
// is one open file, which passes from master to master.
func runMaster(dir string) int {
	behave, _ := os.ReadFile(filepath.Join(dir, "behave"))
	child := os.Getenv("TABLEFLIP_HAS_PARENT_7DIU3") != ""
	if child {
		switch string(behave) {
		case "exit":
			return 1
		case "hang":
			select {}
		}
	}
	timeout, err := time.ParseDuration(os.Getenv("HANDOVER_TIMEOUT"))
	if err != nil {
		fmt.Println("timeout:", err)
		return 1
	}
	u, err := New(timeout)
	if err != nil {
		fmt.Println("new:", err)
		return 1
	}
	defer u.Close()
	if child && string(behave) == "refuse" {
		u.Refuse("not with me")
		return 1
	}
	var treasure *os.File
	if u.HasParent() {
		files, err := u.Receive(context.Background())
		if err != nil {
			fmt.Println("receive:", err)
			return 1
		}
		treasure = files["treasure"][0]
		switch string(behave) {
		case "exit after go":
			return 1
		case "refuse after go":
			u.Refuse("not with this")
			return 1
		case "die after go":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "hang after go":
			select {}
		}
	} else if treasure, err = os.Open(filepath.Join(dir, "treasure")); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := u.Ready(); err != nil {
		fmt.Println("ready:", err)
		return 1
	}
	fmt.Println("in charge", os.Getpid())
	for {
		line, err := readLine(os.Stdin)
		if err != nil {
			return 0
		}
		verb, path, _ := strings.Cut(line, " ")
		switch verb {
		case "upgrade", "upgrade-badly":
			err := u.Upgrade(context.Background(), path, func() (map[string][]*os.File, error) {
				if verb == "upgrade-badly" {
					return nil, errors.New("nothing to give")
				}
				return map[string][]*os.File{"treasure": {treasure}}, nil
			})
			if err == nil {
				return 0
			}
			fmt.Println("failed:", err)
		case "treasure":
			b, err := io.ReadAll(io.NewSectionReader(treasure, 0, 100))
			fmt.Println("treasure", string(b), err)
		case "children":
			out, err := exec.Command("sh", "-c", "env | grep -c TABLEFLIP; ls /proc/self/fd | wc -l").Output()
			fmt.Println("children", strings.Join(strings.Fields(string(out)), " "), err)
		case "files":
			runtime.GC()
			entries, _ := os.ReadDir("/proc/self/fd")
			fmt.Println("files", len(entries))
		}
	}
}

// readLine reads no byte more than the line.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := r.Read(b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

type masters struct {
	t     *testing.T
	dir   string
	exe   string
	stdin io.WriteCloser
	lines chan string
}

func start(t *testing.T) *masters {
	t.Helper()
	return startWithin(t, eventually.Patience())
}

// startWithin starts one whose upgrades may take so long.
func startWithin(t *testing.T, timeout time.Duration) *masters {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &masters{t: t, dir: t.TempDir(), exe: exe, lines: make(chan string, 100)}
	m.write("treasure", "gold")
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "HANDOVER_TEST="+m.dir, "HANDOVER_TIMEOUT="+timeout.String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if m.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := bufio.NewScanner(out); s.Scan(); {
			m.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		m.stdin.Close()
		select {
		case <-ended: // no process holds stdout any more: no master is left
		case <-time.After(eventually.Patience()):
			t.Error("a master is left over")
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		_ = cmd.Wait()
	})
	m.want("in charge")
	return m
}

func (m *masters) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *masters) say(words ...string) {
	m.t.Helper()
	if _, err := fmt.Fprintln(m.stdin, strings.Join(words, " ")); err != nil {
		m.t.Fatal(err)
	}
}

func (m *masters) want(prefix string) string {
	m.t.Helper()
	select {
	case line := <-m.lines:
		rest, ok := strings.CutPrefix(line, prefix)
		if !ok {
			m.t.Fatalf("said %q, want %q", line, prefix)
		}
		return strings.TrimSpace(rest)
	case <-time.After(eventually.Patience()):
		m.t.Fatalf("did not say %q", prefix)
	}
	panic("unreachable")
}

// holds asks the master in charge for what was handed on.
func (m *masters) holds() {
	m.t.Helper()
	m.say("treasure")
	if got := m.want("treasure"); got != "gold <nil>" {
		m.t.Errorf("the master has %q", got)
	}
}

// files asks the master in charge how many it has open.
func (m *masters) files() int {
	m.t.Helper()
	m.say("files")
	n, err := strconv.Atoi(m.want("files"))
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

func TestUpgradeAgainAndAgain(t *testing.T) {
	m := start(t)
	m.holds()
	pids := map[string]bool{}
	files := 0
	for i := range 10 {
		m.say("upgrade", m.exe)
		pid := m.want("in charge")
		if pids[pid] {
			t.Errorf("process %s is in charge again", pid)
		}
		pids[pid] = true
		m.holds()
		// What joins two masters is closed a moment after the new one is in charge.
		now := m.files()
		for deadline := time.Now().Add(eventually.Patience()); i > 0 && now > files && time.Now().Before(deadline); now = m.files() {
		}
		if i == 0 || now < files {
			files = now
		} else if now > files {
			t.Errorf("after %d upgrades %d descriptors are open, %d before", i+1, now, files)
		}
	}
}

// What tableflip has a new master find is not for its children.
func TestNothingIsLeftToChildren(t *testing.T) {
	m := start(t)
	m.say("children")
	before := m.want("children")
	m.say("upgrade", m.exe)
	m.want("in charge")
	m.say("children")
	if now := m.want("children"); now != before || !strings.HasPrefix(now, "0 ") {
		t.Errorf("a child of the new master has %q variables and descriptors, one of the first %q", now, before)
	}
}

// Whatever the new master does instead, the old one goes on, and can be upgraded afterwards.
func TestUpgradeThatFails(t *testing.T) {
	for _, c := range []struct{ behave, binary, want string }{
		{"exit", "", "exit"},
		{"refuse", "", "not with me"},
		{"refuse after go", "", "not with this"},
		{"hang", "", "timed out"},
		{"exit after go", "", "exit"},
		{"die after go", "", "killed"},
		{"hang after go", "", "timed out"},
		{"", "/nowhere/tine", "no such file"},
		{"", "NOT-EXECUTABLE", "permission denied"},
		{"", "TRUNCATED", "exec format error"},
	} {
		t.Run(c.behave+c.binary, func(t *testing.T) {
			t.Parallel()
			timeout := eventually.Patience()
			if c.want == "timed out" {
				timeout = 3 * time.Second
			}
			m := startWithin(t, timeout)
			binary := m.exe
			switch c.binary {
			case "":
			case "NOT-EXECUTABLE":
				m.write("binary", "#!/bin/sh\n")
				binary = filepath.Join(m.dir, "binary")
			case "TRUNCATED":
				m.write("binary", "\x7fELF")
				binary = filepath.Join(m.dir, "binary")
				if err := os.Chmod(binary, 0o700); err != nil {
					t.Fatal(err)
				}
			default:
				binary = c.binary
			}
			m.write("behave", c.behave)
			m.say("files")
			before := m.want("files")
			m.say("upgrade", binary)
			if got := m.want("failed:"); !strings.Contains(got, c.want) || !strings.Contains(got, "cannot upgrade to "+binary) {
				t.Errorf("failed with %q, want %q", got, c.want)
			}
			m.holds()
			late := time.After(eventually.Patience())
			for after := ""; after != before; { // some are the collector's to close
				select {
				case <-late:
					t.Fatalf("%s descriptors are open, %s were before", after, before)
				default:
				}
				m.say("files")
				after = m.want("files")
			}
			m.write("behave", "")
			m.say("upgrade", m.exe)
			m.want("in charge")
			m.holds()
		})
	}
}

// An old master that cannot give changes its mind, and the new one ends.
func TestUpgradeThatIsCalledOff(t *testing.T) {
	m := start(t)
	m.say("upgrade-badly", m.exe)
	line := <-m.lines
	if strings.HasPrefix(line, "receive:") { // the two write to the same pipe
		line = <-m.lines
	}
	if !strings.Contains(line, "nothing to give") {
		t.Errorf("said %q", line)
	}
	m.holds()
	select {
	case line := <-m.lines:
		if !strings.HasPrefix(line, "receive:") {
			t.Errorf("said %q", line)
		}
	default:
	}
	m.say("upgrade", m.exe)
	m.want("in charge")
	m.holds()
}
