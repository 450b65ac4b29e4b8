package keeper

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// A master whose keeper has died becomes the keeper, with its PID, its children and its files. Whatever signal comes while it
// does arrives at the next master.
func TestSucceed(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	first := h.ready()
	first.kill() // so that the next one has inherited something, and the watchdog's time as well
	first = h.ready()
	first.do("store name 2")
	first.kill()
	first = h.ready()
	first.want("inherited", "name=name/0,name/1")
	worker := first.spawn(h, "worker")
	h.cmd.Process.Kill()
	<-h.ended
	t.Cleanup(func() { syscall.Kill(first.pid, syscall.SIGKILL) })
	first.want("blocked", "0")
	h.succeeded = true
	first.send("succeed")
	for executed := false; !executed; { // at any moment of it, the last one after the program has been replaced
		select {
		case <-first.gone:
			executed = true
		case <-time.After(100 * time.Microsecond):
		}
		if err := syscall.Kill(first.pid, syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
	}
	second := h.next("master")
	if second.parent != first.pid {
		t.Errorf("the parent of the next master is %d, want %d", second.parent, first.pid)
	}
	second.want("inherited", "name=name/0,name/1")
	second.want("blocked", "0")
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", second.pid)); err != nil || strings.Contains(string(env), envFiles) {
		t.Errorf("the environment of the next master has %s (%v)", envFiles, err)
	}
	second.do("notify READY=1")
	second.wantSignal(syscall.SIGUSR1)
	if s, err := readStat(worker.pid); err != nil || s.parent != first.pid {
		t.Errorf("the worker's parent is %d (%v), want %d", s.parent, err, first.pid)
	}
	second.kill()
	third := h.next("master")
	third.want("inherited", "name=name/0,name/1")
	third.do("notify READY=1")
	third.kill()
	worker.kill()
	eventually.True(t, "no process is left unreaped", func() bool { return zombies(t, first.pid) == 0 })
	fourth := h.next("master")
	if exits := fourth.ask("exits"); !strings.Contains(exits, fmt.Sprint(worker.pid)) {
		t.Errorf("the end of worker %d is not known: %s", worker.pid, exits)
	}
	fourth.send("stop 0")
	eventually.True(t, "the keeper has ended", func() bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", first.pid))
		return err != nil || len(line) == 0
	})
}

// A master that cannot become a keeper has lost nothing by trying.
func TestSucceedFails(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	first := h.ready()
	first.do("store name 1")
	first.kill()
	first = h.ready()
	if reply := first.ask("cannotsucceed"); !strings.Contains(reply, "cannot become the keeper") || !strings.Contains(reply, "argument list too long") {
		t.Errorf("it says %q", reply)
	}
	first.want("blocked", "0")
	first.want("inherited", "name=name/0")
	h.signal(syscall.SIGUSR1)
	first.wantSignal(syscall.SIGUSR1)
	if reply := first.ask("start"); strings.Contains(reply, "error") {
		t.Error(reply)
	}
	first.send("stop 0")
	h.wantCode(0)
}

func TestReadGiven(t *testing.T) {
	for _, text := range []string{"x", "2 a", "0 a", "-1 a", "3", "3 ", "99999 a", "3 a:", ":", "3 \x00"} {
		if all, err := readGiven(text); err == nil {
			t.Errorf("%q was read as %v", text, all)
		}
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := descriptor(f)
	if err != nil {
		t.Fatal(err)
	}
	want := []given{{"a b", fd}, {"a b", fd}, {"c", fd}}
	if all, err := readGiven(givenText(want)); err != nil || fmt.Sprint(all) != fmt.Sprint(want) {
		t.Errorf("%v, %v; want %v", all, err, want)
	}
}
