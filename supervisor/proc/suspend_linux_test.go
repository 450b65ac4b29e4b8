package proc

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

// watched starts a process and returns what is told of its suspension. A notice that the test does not take in time
// would hold up those of all: there is room for more than any test expects.
func watched(t *testing.T, c Command, o Options) (*Process, <-chan bool) {
	t.Helper()
	notices := make(chan bool, 64)
	o.Suspended = func(suspended bool) { notices <- suspended }
	return mustStart(t, c, o), notices
}

func next(t *testing.T, notices <-chan bool, want bool) {
	t.Helper()
	select {
	case got := <-notices:
		if got != want {
			t.Fatalf("told suspended %t, want %t", got, want)
		}
	case <-time.After(eventually.Patience()):
		t.Fatalf("not told of suspended %t within %s", want, eventually.Patience())
	}
}

func none(t *testing.T, notices <-chan bool) {
	t.Helper()
	select {
	case got := <-notices:
		t.Errorf("told suspended %t, want nothing more", got)
	default:
	}
}

func send(t *testing.T, p *Process, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(p.PID(), sig); err != nil {
		t.Fatal(err)
	}
}

func TestSuspensionIsTold(t *testing.T) {
	p, notices := watched(t, shell(t, "exec sleep 1000"), Options{})
	for _, stop := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGSTOP} {
		send(t, p, stop)
		next(t, notices, true)
		send(t, p, stop) // is suspended already
		send(t, p, syscall.SIGCONT)
		next(t, notices, false)
		send(t, p, syscall.SIGCONT) // goes on already
	}
	send(t, p, syscall.SIGSTOP)
	next(t, notices, true)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if e := exitOf(t, p); e.Signal != syscall.SIGKILL {
		t.Errorf("%s, want signal killed", e)
	}
	none(t, notices)
}

func TestSuspensionBeforeTheWatch(t *testing.T) {
	_, notices := watched(t, shell(t, "kill -STOP $$"), Options{})
	next(t, notices, true)
}

func TestExitIsNoSuspension(t *testing.T) {
	for range 20 {
		p, notices := watched(t, shell(t, "exit 5"), Options{})
		if e := exitOf(t, p); e.Code != 5 {
			t.Fatalf("%s, want exit code 5: the watcher took the exit", e)
		}
		none(t, notices)
	}
}

// All are told, though SIGCHLD says of none of them whose it is, and of many at once only once.
func TestManyAreSuspended(t *testing.T) {
	const n = 50
	var ps []*Process
	var all []<-chan bool
	for range n {
		p, notices := watched(t, shell(t, "exec sleep 1000"), Options{})
		ps, all = append(ps, p), append(all, notices)
	}
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		for _, p := range ps {
			send(t, p, sig)
		}
		for _, notices := range all {
			next(t, notices, sig == syscall.SIGSTOP)
		}
	}
	// One that is suspended while others end.
	send(t, ps[0], syscall.SIGSTOP)
	for _, p := range ps[1:] {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	}
	next(t, all[0], true)
	for _, p := range ps[1:] {
		if e := exitOf(t, p); e.Signal != syscall.SIGKILL {
			t.Errorf("%s, want signal killed", e)
		}
	}
}

// The call for one process may start, watch and end others.
func TestStartWithinANotice(t *testing.T) {
	c := shell(t, "exit 0")
	var once sync.Once
	ended := make(chan Exit, 1)
	p := mustStart(t, shell(t, "exec sleep 1000"), Options{Suspended: func(bool) {
		once.Do(func() {
			p, err := Start(c, Options{Suspended: func(bool) {}})
			if err != nil {
				t.Error(err)
				close(ended)
				return
			}
			ended <- p.Exit()
		})
	}})
	send(t, p, syscall.SIGSTOP)
	select {
	case e := <-ended:
		if e.Code != 0 {
			t.Error(e)
		}
	case <-time.After(eventually.Patience()):
		t.Fatalf("the process that was started within the call has not ended within %s", eventually.Patience())
	}
}

func TestWatcherEndsWithItsLastProcess(t *testing.T) {
	busy := func() bool {
		suspensions.mu.Lock()
		defer suspensions.mu.Unlock()
		return suspensions.now != nil
	}
	for range 3 {
		a, _ := watched(t, shell(t, "exec sleep 1000"), Options{})
		b, _ := watched(t, shell(t, "exit 0"), Options{})
		exitOf(t, b)
		if !busy() {
			t.Fatal("the watcher has ended before its last process")
		}
		if err := a.Kill(); err != nil {
			t.Fatal(err)
		}
		exitOf(t, a)
		if busy() {
			t.Fatal("the watcher is still there after its last process")
		}
	}
}

// A debugger's hold is not told, a suspension after it is.
func TestDebuggerIsNoSuspension(t *testing.T) {
	p, notices := watched(t, shell(t, "exec sleep 1000"), Options{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	out := newCollected()
	debugger := mustStart(t, child(t, "debug", fmt.Sprint(p.PID())), Options{Files: []*os.File{r}, Stdout: out.line, Stderr: out.line})
	r.Close()
	if state := out.wait(t, "attached: "); state != "held" {
		t.Skipf("NOT TESTED: this machine does not let one process hold another: %s", state)
	}
	// Makes the watcher look while the debugger holds the process.
	other, others := watched(t, shell(t, "exec sleep 1000"), Options{})
	send(t, other, syscall.SIGSTOP)
	next(t, others, true)
	w.Close()
	if e := exitOf(t, debugger); e.Code != 0 {
		t.Fatalf("the debugger: %s %q", e, out.all())
	}
	none(t, notices)
	send(t, p, syscall.SIGSTOP)
	next(t, notices, true)
	send(t, p, syscall.SIGCONT)
	next(t, notices, false)
	none(t, notices)
}

func TestTimeToTellASuspension(t *testing.T) {
	p, notices := watched(t, shell(t, "exec sleep 1000"), Options{})
	var took []time.Duration
	for range 15 {
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			at := time.Now()
			send(t, p, sig)
			next(t, notices, sig == syscall.SIGSTOP)
			took = append(took, time.Since(at))
		}
	}
	t.Logf("median from the signal to the notice %s", median(took))
}
