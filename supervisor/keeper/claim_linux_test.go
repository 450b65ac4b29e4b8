package keeper

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

// claimedHouse is one whose keeper holds a claim, and its address.
func claimedHouse(t *testing.T, o Options) (*house, string) {
	t.Helper()
	address := fmt.Sprintf("@tine-test-claim-%d-%d", os.Getpid(), time.Now().UnixNano())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	o.ClaimText = "name=web\ncontrol=/old\n"
	h := newHouse(t, o, func(c *exec.Cmd) {
		c.ExtraFiles = []*os.File{f}
		c.Env = append(c.Env, claimKey+"=1")
	})
	f.Close()
	l.Close()
	return h, address
}

// askClaim is the answer at the address and the PID that the kernel names.
func askClaim(t *testing.T, address string) (text string, pid int) {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(eventually.Patience()))
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer), pid
}

// The claim is held and answered by the keeper from before its first master to its end, and by no process after it.
func TestClaim(t *testing.T) {
	h, address := claimedHouse(t, Options{})
	first := h.ready()
	keeper := h.cmd.Process.Pid
	want := fmt.Sprintf("name=web\ncontrol=/old\npid=%d\nmaster=%d\nstate=serving\n", keeper, first.pid)
	if got, pid := askClaim(t, address); got != want || pid != keeper {
		t.Errorf("process %d says %q, want %d and %q", pid, got, keeper, want)
	}
	first.do("notify X-TINE-CONTROL=@new")
	first.do("barrier")
	if got, _ := askClaim(t, address); !strings.Contains(got, "\ncontrol=@new\npid=") {
		t.Errorf("after the control socket has moved: %q", got)
	}
	first.kill()
	second := h.ready()
	second.want("inherited", ClaimName+"=?")
	first = second
	first.send("stop 0")
	h.wantCode(0)
	if _, err := net.Dial("unix", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the end: %v", err)
	}
}

// A keeper that is killed leaves the claim to its master, which hands it to the keeper that it becomes: no other process can have it.
func TestClaimSucceeds(t *testing.T) {
	h, address := claimedHouse(t, Options{})
	first := h.ready()
	h.cmd.Process.Kill()
	<-h.ended
	t.Cleanup(func() { syscall.Kill(first.pid, syscall.SIGKILL) })
	if l, err := net.Listen("unix", address); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the claim could be taken while no keeper lives: %v, %v", l, err)
	}
	h.succeeded = true
	first.send("succeed")
	second := h.next("master")
	second.do("notify READY=1")
	second.do("barrier")
	text, pid := askClaim(t, address)
	if want := fmt.Sprintf("pid=%d\nmaster=%d\nstate=serving\n", first.pid, second.pid); pid != first.pid || !strings.HasSuffix(text, want) {
		t.Errorf("process %d says %q, want %d and %q", pid, text, first.pid, want)
	}
	second.send("stop 0")
	eventually.True(t, "the claim is free", func() bool {
		_, err := net.Dial("unix", address)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

func TestReadClaim(t *testing.T) {
	for _, text := range []string{"x", "2 \"\"", "99999 \"a\"", "0", "3 x\"", " "} {
		if o := (Options{}); o.readClaim(text) == nil {
			t.Errorf("%q was read as %v", text, o.ClaimText)
		}
	}
}

// What a keeper before said, by a master and a keeper that do not know of claims, does not hold for this one.
func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		keeper, answers string
		want            bool
	}{{"", "", false}, {"17", "", false}, {"17", "17", true}, {"18", "17", false}, {"", "17", false}} {
		t.Setenv(EnvKeeper, test.keeper)
		t.Setenv(EnvAnswers, test.answers)
		if got := Answers(); got != test.want {
			t.Errorf("keeper %q, %q answers: %v", test.keeper, test.answers, got)
		}
	}
}
