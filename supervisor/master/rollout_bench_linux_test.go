package master

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/proc"
	"golang.org/x/sys/unix"
)

// puppets are workers without a process of their own: all share one that sleeps. They do what the loop orders at once.
type puppets struct {
	t      testing.TB
	shared *proc.Process
}

func newPuppets(t testing.TB) *puppets {
	path, err := exec.LookPath("sleep")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	command, err := proc.Resolve(proc.Spec{Command: []string{path, "3600"}, Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	shared, err := proc.Start(command, proc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.Kill(); <-shared.Exited() })
	return &puppets{t: t, shared: shared}
}

var channels sync.Mutex // guards the environment

// launch is what the loop calls to start a worker.
func (p *puppets) launch(s *crew.Starter, _ context.Context, m *crew.Worker, _ *launch.Generation) {
	conn, child, err := ipc.Pair()
	if err != nil {
		s.Post(crew.SpawnFailed{Worker: m, Err: err})
		return
	}
	fd, err := unix.FcntlInt(child.Fd(), unix.F_DUPFD_CLOEXEC, 3) // which FromEnv closes
	child.Close()
	if err != nil {
		s.Post(crew.SpawnFailed{Worker: m, Err: err})
		return
	}
	channels.Lock()
	os.Setenv(ipc.EnvChannel, strconv.Itoa(fd))
	worker, err := ipc.FromEnv()
	channels.Unlock()
	if err != nil {
		p.t.Error(err)
		return
	}
	defer worker.Close()
	m.Name(p.shared.PID())
	m.Worker = handle.Attach(p.shared, conn, s.Options(m))
	if !s.Post(crew.Spawned{Worker: m}) {
		m.CloseChannel("nobody is there")
		return
	}
	s.Post(crew.Heard{Worker: m, Fact: handle.Frame{Conn: conn, Frame: ipc.Hello{Protocol: ipc.Protocol}}})
	defer s.Post(crew.Heard{Worker: m, Fact: handle.Exited{}})
	for {
		frame, err := worker.Read()
		if err != nil {
			return
		}
		ipc.Discard(frame)
		switch frame.(type) {
		case ipc.Assign:
			s.Post(crew.Heard{Worker: m, Fact: handle.Frame{Conn: conn, Frame: ipc.Ready{}}})
		case ipc.Drain:
			return
		}
	}
}

// rolled has all workers of an app of n slots replaced, and tells what that has cost the loop, and was encoded for the record.
type rolled struct {
	loop    time.Duration // CPU time of its thread
	patched int           // bytes
}

// startPuppets runs a master with an app of n slots.
func startPuppets(t testing.TB, n int) *master {
	p := newPuppets(t)
	launcher := func(o *options) { o.launch = p.launch }
	return startMaster(t, func(c *config.Config) {
		c.Log.Level = "error"
		c.Apps[0].Workers, c.Apps[0].DrainDelay = n, 0
	}, WithStore(&names{kept: map[string]int{}}, map[string][]*os.File{}), launcher)
}

// rollOver replaces all workers once.
func rollOver(t testing.TB, m *master) (r rolled) {
	thread := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
			t.Error(err)
		}
		return time.Duration(ts.Nano())
	}
	var before time.Duration
	var work estate.Work // before
	begun := make(chan struct{})
	m.s.post(inLoop{func(l *loop) {
		runtime.LockOSThread()
		before, work = thread(), l.estate.Work()
		close(begun)
	}})
	<-begun
	if _, err := m.do(api.Order{Verb: api.VerbReload, App: "web"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	m.s.post(inLoop{func(l *loop) {
		r.loop, r.patched = thread()-before, l.estate.Work().Patched-work.Patched
		runtime.UnlockOSThread()
		close(done)
	}})
	<-done
	return r
}

// BenchmarkRollout: what a rollout costs the loop, per worker that is replaced, must hardly depend on how many there are.
func BenchmarkRollout(b *testing.B) {
	for _, n := range []int{16, 64, 256, 1024} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			m := startPuppets(b, n)
			var all time.Duration
			var patched int
			for b.Loop() {
				r := rollOver(b, m)
				all, patched = all+r.loop, patched+r.patched
			}
			b.ReportMetric(float64(all.Microseconds())/float64(b.N*n), "loop-us/worker")
			b.ReportMetric(float64(all.Milliseconds())/float64(b.N), "loop-ms/rollout")
			b.ReportMetric(float64(patched)/float64(b.N*n), "patch-B/worker")
		})
	}
}

// TestPatchesDoNotGrow: what is encoded for each worker that is replaced does not depend on how many the app has.
func TestPatchesDoNotGrow(t *testing.T) {
	perWorker := map[int]int{}
	for _, n := range []int{8, 128} {
		m := startPuppets(t, n)
		perWorker[n] = rollOver(t, m).patched / n
	}
	if few, many := perWorker[8], perWorker[128]; many > few+few/2 {
		t.Errorf("%d bytes of patches for each worker of 128, and %d of 8", many, few)
	}
}
