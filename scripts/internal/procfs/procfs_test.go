//go:build linux

package procfs

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

func TestThisProcess(t *testing.T) {
	pid := os.Getpid()
	before := OpenFiles(pid)
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := OpenFiles(pid); before == 0 || n != before+1 {
		t.Errorf("%d descriptors, and %d with one more", before, n)
	}
	// The two are read one after the other while this process grows and shrinks, and the kernel counts the
	// resident pages only approximately: twice as much is wrong in any case.
	if rss, pss := RSS(pid), Memory(pid, "Pss"); rss < 1<<20 || rss > 1<<32 || pss == 0 || pss > 2*rss {
		t.Errorf("%d bytes are resident, of which %d count for this process", rss, pss)
	}
	if Status(pid, "State") == "" || Status(pid, "Nothing") != "" || Name(pid) == "" {
		t.Errorf("the state of %q is %q", Name(pid), Status(pid, "State"))
	}
	if used := CPUTime(pid); used <= 0 {
		t.Errorf("it has run for %s", used)
	}
}

func TestChildren(t *testing.T) {
	c := exec.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Skip(err)
	}
	pid := c.Process.Pid
	if !slices.Contains(Children(os.Getpid()), pid) || !slices.Contains(Below(os.Getpid()), pid) {
		t.Errorf("process %d is not among the children %v", pid, Children(os.Getpid()))
	}
	if IsZombie(pid) {
		t.Error("it has not ended yet")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "a process that was killed is a zombie", func() bool { return IsZombie(pid) })
	_ = c.Wait()
	if Name(pid) != "" || len(Children(pid)) != 0 || Ticks(pid) != 0 || RSS(pid) != 0 {
		t.Error("a process that has gone still says something")
	}
}
