package keeper

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc/eventually"
)

// slowness is by how much other tests beside this one, and the race detector, may slow down the start of a process.
const slowness = 20

func TestCrashedMasterIsReplacedWithAllItsFiles(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	first := h.ready()
	first.want("inherited", "")
	first.do("store web 3")
	first.do("store log 1")
	first.do("store web 1 3")
	first.do("store many 600") // takes three messages
	first.do("again twice")    // is kept already
	first.do("store gone 2")
	first.do("remove gone")
	first.do("barrier")

	begin := time.Now()
	first.kill()
	second := h.next("master")
	took := second.came.Sub(begin)
	t.Logf("kill -9 to the new master's first word: %s", took)
	if most := 50 * time.Millisecond * slowness; took > most {
		t.Errorf("it took %s from the crash to the new master, more than %s", took, most)
	}
	if second.parent != h.cmd.Process.Pid {
		t.Errorf("the new master is a child of %d, not of the keeper", second.parent)
	}
	var many []string
	for i := range 600 {
		many = append(many, fmt.Sprintf("many/%d", i))
	}
	second.want("inherited", "log=log/0 many="+strings.Join(many, ",")+" web=web/0,web/1,web/2,web/3")
	if env := second.ask("env"); strings.Contains(env, "LISTEN_") {
		t.Errorf("the environment still says %s", env)
	}
	second.do("notify READY=1")
	h.wantLog(fmt.Sprintf("master %d has crashed", first.pid))
	h.wantLog(fmt.Sprintf("master %d is ready", second.pid))
	second.send("stop 0")
	h.wantCode(0)
}

func TestPanicAndUnannouncedExitAreCrashes(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	h.ready().send("panic")
	second := h.ready()
	h.wantLog("exit code 2; starting another")
	second.send("exit 0")
	third := h.ready()
	h.wantLog("exit code 0; starting another in 100ms")
	third.send("stop 0")
	h.wantCode(0)
}

// On a slow machine a master may be up for so long before the test kills it that what was before is forgotten, so that it
// takes more crashes.
func TestCrashLoopIsSlowedDown(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	p := h.ready()
	failures, most := 0, 0*time.Second
	for crashes := 0; most < 400*time.Millisecond; crashes++ {
		if crashes == 30 {
			t.Skip("NOT TESTED: this machine starts no master and kills it within ", forgetting)
		}
		begin := time.Now()
		p.kill()
		up, waits := h.crash(p.pid)
		next := h.next("master")
		if failures++; waits != delay(failures) {
			if failures = 1; waits != 0 || up < forgetting {
				t.Fatalf("master %d was up for %s, and the next one is started in %s", p.pid, up, waits)
			}
		}
		if took := next.came.Sub(begin); took < waits {
			t.Errorf("the next master came after %s, want at least %s", took, waits)
		}
		p, most = next, max(most, waits)
	}
	p.send("stop 0")
	h.wantCode(0)
}

// crash is what the log says about a master's: how long it was up, and how long the next one is waited with.
func (h *house) crash(pid int) (up, waits time.Duration) {
	h.t.Helper()
	line := regexp.MustCompile(fmt.Sprintf(`master %d has crashed after (\S+): signal killed; starting another(?: in (\S+))?\n`, pid))
	var found []string
	eventually.True(h.t, fmt.Sprintf("the log tells of the crash of %d", pid), func() bool {
		found = line.FindStringSubmatch(h.log.text())
		return found != nil
	})
	var errs [2]error
	up, errs[0] = time.ParseDuration(found[1])
	waits, errs[1] = time.ParseDuration(cmp.Or(found[2], "0s"))
	if err := errors.Join(errs[:]...); err != nil {
		h.t.Fatal(err)
	}
	return up, waits
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name   string
		orders []string
		code   int
	}{
		{"in order", []string{"notify READY=1", "stop 0"}, 0},
		{"gave up", []string{"notify READY=1", "stop 70"}, 70},
		{"before it was ready", []string{"exit 2"}, 2},
		{"gave up before it was ready", []string{"stop 70"}, 70},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, Options{}, nil)
			p := h.next("master")
			for _, order := range c.orders[:len(c.orders)-1] {
				p.do(order)
			}
			p.send(c.orders[len(c.orders)-1])
			h.wantCode(c.code)
		})
	}
	t.Run("not found", func(t *testing.T) {
		h := newHouse(t, Options{Command: "/nowhere/tine"}, nil)
		h.wantCode(CodeNotFound)
		h.wantLog("cannot execute /nowhere/tine: no such file")
	})
	t.Run("killed in a stop", func(t *testing.T) {
		h := newHouse(t, Options{}, nil)
		p := h.ready()
		h.signal(syscall.SIGTERM)
		p.wantSignal(syscall.SIGTERM)
		p.do("notify STOPPING=1")
		p.kill()
		h.wantCode(128 + 9)
	})
}

// The last word of a master is heard before its end is judged, however close they are.
func TestLastWordIsHeard(t *testing.T) {
	for range 10 {
		h := newHouse(t, Options{}, nil)
		h.ready().send("stop 3")
		h.wantCode(3)
	}
}

func TestProgramIsBroughtBackThoughItsFileIsGone(t *testing.T) {
	link := linked(t)
	h := newHouse(t, Options{Command: link, Fallback: "/proc/self/exe"}, nil)
	first := h.ready()
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	first.kill()
	h.ready().send("stop 0")
	h.wantCode(0)
	h.wantLog("executing /proc/self/exe instead")
}

func TestSignalsAreForwarded(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	p := h.ready()
	if group := p.ask("group"); group != strconv.Itoa(p.pid) {
		t.Errorf("the master is in process group %s: a Ctrl-C would reach it twice", group)
	}
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU,
		syscall.SIGCONT, 37, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT} {
		h.signal(sig)
		p.wantSignal(sig)
	}
	for _, sig := range []syscall.Signal{syscall.SIGURG, syscall.SIGWINCH, syscall.SIGPIPE, syscall.SIGCHLD, syscall.SIGHUP} {
		h.signal(sig)
		if sig == syscall.SIGHUP { // the one that follows
			p.wantSignal(sig)
		}
	}
	p.send("stop 0")
	h.wantCode(0)
}

func TestSignalWaitsForTheFirstWord(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	p := h.next("master")
	h.signal(syscall.SIGUSR1)
	h.signal(syscall.SIGHUP)
	p.do("barrier") // speaks
	got := []string{<-p.events, <-p.events}
	slices.Sort(got)
	if want := []string{"signal 1", "signal 10"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	p.send("stop 0")
	h.wantCode(0)
}

func TestStopWaitsForTheFirstWord(t *testing.T) {
	for name, start := range map[string]func(h *house) *peer{
		"FirstStart": func(h *house) *peer { return h.next("master") },
		"AfterACrash": func(h *house) *peer {
			h.ready().kill()
			return h.next("master")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, Options{}, nil)
			p := start(h)
			h.signal(syscall.SIGTERM)
			h.signal(syscall.SIGWINCH)
			p.silent(100 * time.Millisecond)
			p.do("notify STATUS=starting")
			p.wantSignal(syscall.SIGTERM)
			p.send("stop 0")
			h.wantCode(0)
		})
	}
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Options{}, nil)
	p := h.next("master")
	h.signal(syscall.SIGINT)
	p.wantSignal(syscall.SIGINT)
	if took := time.Since(p.came); took < silence-time.Second {
		t.Errorf("it came after %s", took)
	}
	h.wantLog("has not said a word for 5")
	p.send("stop 0")
	h.wantCode(0)
}

// A stop that meets the end of a master is carried out by another.
func TestStopOfACrashedMaster(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	p := h.ready()
	worker := p.spawn(h, "worker")
	h.signal(syscall.SIGTERM)
	p.wantSignal(syscall.SIGTERM)
	p.kill()
	next := h.next("master")
	next.do("notify STATUS=starting")
	next.wantSignal(syscall.SIGTERM)
	if got := worker.ask("group"); got != strconv.Itoa(worker.pid) { // it has not ended
		t.Error(got)
	}
	worker.send("exit 0")
	worker.wantGone()
	next.send("stop 0")
	h.wantCode(0)
}

func TestOrphansAreReaped(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	p := h.ready()
	p.do("litter 1000")
	eventually.True(t, "1000 exits are known", func() bool { return len(strings.Fields(p.ask("exits"))) >= 1000 })
	if n := zombies(t, h.cmd.Process.Pid); n > 0 {
		t.Errorf("%d zombies", n)
	}
	p.send("stop 0")
	h.wantCode(0)
}

func TestExitOfAnOrphanedWorkerIsTold(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	first := h.ready()
	worker := first.spawn(h, "worker")
	start := worker.ask("start")
	first.kill()
	second := h.ready()
	worker.send("exit 33")
	worker.wantGone()
	want := fmt.Sprintf("%d/%s/33", worker.pid, start)
	eventually.True(t, want, func() bool { return slices.Contains(strings.Fields(second.ask("exits")), want) })
	second.kill()
	third := h.ready() // it is not forgotten by being told
	if got := third.ask("exits"); !slices.Contains(strings.Fields(got), want) {
		t.Errorf("exits %s, want %s among them", got, want)
	}
	third.send("stop 0")
	h.wantCode(0)
}

// linked is the program of the tests by a name that the test can take away.
func linked(t *testing.T) (link string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link = filepath.Join(t.TempDir(), "tine")
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// crashed is a house whose master cannot be brought back, with one worker.
func crashed(t *testing.T, o Options) (h *house, worker *peer) {
	t.Helper()
	o.Command = linked(t)
	h = newHouse(t, o, nil)
	first := h.ready()
	worker = first.spawn(h, "worker")
	if err := os.Remove(o.Command); err != nil {
		t.Fatal(err)
	}
	first.kill()
	h.wantLog("no such file or directory; starting another in 100ms")
	return h, worker
}

func TestStopWhileNoMasterLives(t *testing.T) {
	h, worker := crashed(t, Options{})
	h.signal(syscall.SIGTERM)
	worker.wantSignal(syscall.SIGTERM)
	worker.wantGone()
	h.wantCode(0)
}

// That SIGTERM comes first TestSecondStopKills sees: a busy machine may not let the worker say so within StopTimeout.
func TestStopWhileNoMasterLivesAndWorkersDoNotListen(t *testing.T) {
	h, worker := crashed(t, Options{StopTimeout: 200 * time.Millisecond})
	worker.do("ignore")
	h.signal(syscall.SIGTERM)
	worker.wantGone()
	h.wantCode(0)
	h.wantLog("killing what has lost its master: they have not ended within 200ms")
}

func TestProgramComesBack(t *testing.T) {
	link := linked(t)
	h := newHouse(t, Options{Command: link}, nil)
	first := h.ready()
	first.do("store web 1")
	first.do("barrier")
	if err := os.Rename(link, link+"-away"); err != nil {
		t.Fatal(err)
	}
	first.kill()
	h.wantLog("no such file or directory; starting another in 200ms")
	if err := os.Rename(link+"-away", link); err != nil {
		t.Fatal(err)
	}
	second := h.next("master")
	second.want("inherited", "web=web/0")
	second.send("stop 0")
	h.wantCode(0)
}

func TestSecondStopKills(t *testing.T) {
	h, worker := crashed(t, Options{StopTimeout: time.Hour})
	worker.do("ignore")
	h.signal(syscall.SIGTERM)
	worker.wantSignal(syscall.SIGTERM)
	h.signal(syscall.SIGINT)
	worker.wantGone()
	h.wantCode(0)
}

func TestUpgrade(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	old := h.ready()
	old.do("store web 2")
	fresh := old.spawn(h, "master")
	fresh.do("lead")
	fresh.do("notify READY=1")
	fresh.do("store web 1 2")
	fresh.do("barrier")
	h.signal(syscall.SIGHUP)
	fresh.wantSignal(syscall.SIGHUP)
	old.send("exit 0")
	old.wantGone()
	h.wantLog(fmt.Sprintf("former master %d has ended: exit code 0", old.pid))
	fresh.kill()
	third := h.next("master")
	third.want("inherited", "web=web/0,web/1,web/2")
	third.send("stop 5") // before it is ready, but another was
	h.wantCode(5)
}

// What a crashed master is brought back from is the program of that one, and if there is none any more, that of the first.
func TestUpgradeToAnotherProgram(t *testing.T) {
	other := copied(t)
	h := newHouse(t, Options{}, nil)
	old := h.ready()
	first := old.ask("program")
	old.send("spawn master " + other)
	fresh := h.next("master")
	fresh.do("lead")
	fresh.do("notify READY=1")
	old.send("stop 0")
	old.wantGone()
	h.wantLog(fmt.Sprintf("former master %d", old.pid))
	fresh.kill()
	third := h.ready()
	if got := third.ask("program"); got != other {
		t.Errorf("the program of the next master is %s, want %s", got, other)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	third.kill()
	fourth := h.ready()
	if got := fourth.ask("program"); got != first {
		t.Errorf("the program of the last master is %s, want %s", got, first)
	}
	h.wantLog("cannot execute " + other + ": no such file or directory; executing ")
	fourth.send("stop 0")
	h.wantCode(0)
}

// copied is the program of the tests at another path.
func copied(t *testing.T) (path string) {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path = filepath.Join(t.TempDir(), "other")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err == nil {
		_, err = io.Copy(to, from)
		err = errors.Join(err, to.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUpgradeAnnouncedByTheOldMaster(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	old := h.ready()
	fresh := old.spawn(h, "master")
	old.do("notify MAINPID=" + strconv.Itoa(fresh.pid))
	fresh.do("notify READY=1")
	fresh.do("barrier")
	old.send("exit 0")
	old.wantGone()
	fresh.send("stop 4")
	h.wantCode(4)
}

// The old master crashes before the new one has announced itself: another is started, and the new one is refused.
func TestUpgradeThatComesTooLate(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	old := h.ready()
	late := old.spawn(h, "master")
	old.kill()
	third := h.ready()
	if got := late.ask("lead"); !strings.Contains(got, "cannot become the master") {
		t.Errorf("the new master of the old one: %s", got)
	}
	third.do("lead") // it is
	h.signal(syscall.SIGHUP)
	third.wantSignal(syscall.SIGHUP)
	third.send("stop 0")
	h.wantCode(0)
}

func TestFailedUpgrade(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	old := h.ready()
	for _, ready := range []string{"", " READY=1"} {
		fresh := old.spawn(h, "master")
		fresh.do("notify MAINPID=" + strconv.Itoa(fresh.pid) + ready)
		fresh.do("barrier")
		fresh.kill()
		h.wantLog(fmt.Sprintf("master %d has ended: signal killed; %d is in charge again", fresh.pid, old.pid))
	}
	old.do("notify READY=1") // else it may be about to leave for the last
	old.do("barrier")
	h.signal(syscall.SIGHUP)
	old.wantSignal(syscall.SIGHUP)
	old.send("stop 0")
	h.wantCode(0)
}

// The new master stops in order while the old one, whose child it is, still lives, and reaps it.
func TestExitCodeOfAMasterThatIsNoChild(t *testing.T) {
	h := newHouse(t, Options{StopTimeout: 10 * time.Millisecond}, nil)
	old := h.ready()
	fresh := old.spawn(h, "master")
	fresh.do("notify MAINPID=" + strconv.Itoa(fresh.pid) + " READY=1")
	old.do("notify STOPPING=1")
	old.do("barrier")
	fresh.send("stop 6")
	want := 6
	if !hasExitInfo() {
		want = 0
	}
	h.wantCode(want)
}

func TestForgedNotificationsAreRefused(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	p := h.next("master")
	_, address, ok := strings.Cut(p.ask("env"), "NOTIFY_SOCKET=")
	if !ok {
		t.Fatal("no NOTIFY_SOCKET")
	}
	address, _, _ = strings.Cut(address, " ")
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	forger := &Client{conn: conn, name: address}
	defer forger.Close()
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	before := descriptors(t, h.cmd.Process.Pid)
	for _, err := range []error{
		forger.Notify("READY=1"),
		forger.Notify("MAINPID="+strconv.Itoa(os.Getpid()), "READY=1"),
		forger.Notify("MAINPID=" + strconv.Itoa(p.pid)),
		forger.Notify("MAINPID="+strconv.Itoa(p.pid), "X-TINE-COMMAND=/bin/false"),
		forger.Notify("WATCHDOG=trigger"),
		forger.Store("web", file, file),
		forger.Remove("web"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// A master cannot make a stranger one either, nor the keeper itself.
	p.do("notify MAINPID=" + strconv.Itoa(os.Getpid()))
	p.do("notify MAINPID=1")
	p.do("notify MAINPID=" + strconv.Itoa(h.cmd.Process.Pid))
	p.do("barrier")
	if after := descriptors(t, h.cmd.Process.Pid); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	h.wantLog(fmt.Sprintf("refused a notification of process %d", os.Getpid()))
	h.wantLog(fmt.Sprintf("process %d cannot be the master, though %d says so", os.Getpid(), p.pid))
	p.send("exit 9") // it was never ready: else this were a crash
	h.wantCode(9)
}

func TestSelfAnnouncementNeedsTheKeepersUser(t *testing.T) {
	cmd := exec.Command("/bin/cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	s := &shell{pidfds: map[int]int{}}
	pid, me := cmd.Process.Pid, uint32(os.Geteuid())
	if !s.mayLead(pid, me, false) {
		t.Error("a child of the same user must be allowed")
	}
	if s.mayLead(pid, me+1, false) {
		t.Error("a child of another user must not")
	}
	if !s.mayLead(pid, me+1, true) {
		t.Error("what a master says must be enough")
	}
	for i := range maxMasters {
		s.pidfds[1<<30+i] = -1
	}
	if s.mayLead(pid, me, true) {
		t.Error("there are too many")
	}
}

func TestFullStore(t *testing.T) {
	h := newHouse(t, Options{MaxFiles: 10}, nil)
	p := h.ready()
	p.want("limit", "10")
	p.do("store web 8")
	p.do("store log 3") // all or none
	p.do("store log 2")
	p.do("store more 1")
	p.do("barrier")
	h.wantLog("cannot store log: 3 more files beside 8 would be too many: 10 is the most")
	h.wantLog("cannot store more: 1 more files beside 10")
	p.want("room", "10/10 more")
	p.do("store log 1")
	p.want("room", "10/10 log,more")
	p.do("remove more")
	p.want("room", "10/10 log")
	p.do("remove log")
	p.do("store last 2")
	p.want("room", "10/10 ")
	p.do("barrier")
	p.kill()
	second := h.next("master")
	second.want("inherited", "last=last/0,last/1 web=web/0,web/1,web/2,web/3,web/4,web/5,web/6,web/7")
	second.send("stop 0")
	h.wantCode(0)
}

// Starting a master takes two descriptors for each stored file.
func TestFullStoreUnderALowLimit(t *testing.T) {
	h := newHouse(t, Options{}, func(cmd *exec.Cmd) {
		exe := cmd.Path
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `ulimit -n 100 && exec "$0"`, exe}
	})
	p := h.ready()
	p.want("limit", "34")
	p.do("store f 34")
	p.do("store g 1")
	p.do("barrier")
	h.wantLog("34 is the most")
	p.kill()
	second := h.next("master")
	second.want("count", "34")
	second.send("stop 0")
	h.wantCode(0)
}

// The kernel starts no program with a variable of 128 KiB.
func TestNamesAreBounded(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	p := h.ready()
	name := strings.Repeat("x", 250)
	p.do("store " + name + " 240")
	p.do("store " + name + " 240")
	p.do("barrier")
	h.wantLog("the names would take")
	p.kill()
	second := h.next("master")
	second.want("count", "240")
	second.send("stop 0")
	h.wantCode(0)
}

func TestManyFiles(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Max < 2*4096+1000 {
		t.Skipf("NOT TESTED: RLIMIT_NOFILE %d", limit.Max)
	}
	h := newHouse(t, Options{}, nil)
	p := h.ready()
	p.want("limit", "4096")
	p.do("store f 4096")
	p.do("barrier")
	begin := time.Now()
	p.kill()
	second := h.next("master")
	t.Logf("kill -9 to the new master's first word, with 4096 files: %s", second.came.Sub(begin))
	second.want("count", "4096")
	second.send("stop 0")
	h.wantCode(0)
}

func TestWatchdogEndsASuspendedMaster(t *testing.T) {
	h := newHouse(t, Options{Watchdog: 300 * time.Millisecond}, nil)
	p := h.next("master")
	p.want("watchdog", "300ms")
	p.do("notify READY=1")
	p.send("hang")
	p.wantGone()
	h.wantLog("has not said for 300ms that it is alive")
	second := h.next("master")
	second.send("stop 0")
	h.wantCode(0)
}

func TestDescriptorsAndMemoryOver50Restarts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	h := newHouse(t, Options{}, nil)
	p := h.ready()
	p.do("store web 4")
	p.do("barrier")
	before := descriptors(t, h.cmd.Process.Pid)
	for range 50 {
		// By upgrades, so that there is no backoff to wait for, and by one crash each ten.
		fresh := p.spawn(h, "master")
		fresh.do("notify MAINPID=" + strconv.Itoa(fresh.pid) + " READY=1")
		fresh.do("again web")
		fresh.do("barrier")
		p.send("exit 0")
		p.wantGone()
		p = fresh
	}
	h.wantLog("former master")
	for range 3 {
		p.kill()
		p = h.ready()
		p.do("again web")
	}
	p.do("barrier")
	eventually.True(t, "no descriptor more than before", func() bool { return descriptors(t, h.cmd.Process.Pid) == before })
	if n := zombies(t, h.cmd.Process.Pid); n > 0 {
		t.Errorf("%d zombies", n)
	}
	p.want("inherited", "web=web/0,web/1,web/2,web/3")
	p.send("stop 0")
	h.wantCode(0)
}

// At rest nothing wakes the keeper, and it is small though its program is not. The program of the tests is not that of Tine,
// so this shows only that memory is given back.
func TestAtRest(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	p := h.ready()
	p.do("store web 100")
	p.do("barrier")
	pid := h.cmd.Process.Pid
	resident := func() int { return statusNumber(t, pid, "VmRSS:") }
	woken := func() (n int) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(tasks) == 0 {
			t.Fatal("no tasks: ", err)
		}
		for _, path := range tasks {
			n += statusNumberIn(t, path, "voluntary_ctxt_switches:")
		}
		return n
	}
	const most = 6 << 10
	if !withRace { // the detector's own memory is most of it
		eventually.True(t, "less than 6 MiB are resident", func() bool { return resident() < most })
	}
	// One such time is enough: a timer that ran at rest would show in each.
	eventually.NoError(t, "rest", func() error {
		before := woken()
		<-time.After(2 * time.Second)
		if n := woken() - before; n > 10 {
			return fmt.Errorf("%d context switches in 2 s", n)
		}
		return nil
	})
	t.Logf("%d KiB resident, %d of them anonymous", resident(), statusNumber(t, pid, "RssAnon:"))
	p.kill()
	p = h.next("master") // what was given back comes back
	p.want("count", "100")
	p.send("stop 0")
	h.wantCode(0)
}

func statusNumber(t *testing.T, pid int, key string) int {
	t.Helper()
	return statusNumberIn(t, fmt.Sprintf("/proc/%d/status", pid), key)
}

func statusNumberIn(t *testing.T, path, key string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %s", key, path)
	return 0
}

func TestExec(t *testing.T) {
	h := newHouse(t, Options{}, func(cmd *exec.Cmd) {
		cmd.Args = append(cmd.Args, "run", "-c", "x y")
		cmd.Env = append(cmd.Env, roleKey+"=exec")
	})
	p := h.ready()
	if p.parent != h.cmd.Process.Pid {
		t.Errorf("the keeper is process %d, not %d", p.parent, h.cmd.Process.Pid)
	}
	p.want("args", `["run" "-c" "x y"] "a b\"c" ""`)
	p.want("limit", "77")
	p.want("watchdog", "1m0s")
	p.send("stop 3")
	h.wantCode(3)
}

func TestMasterSeesTheEndOfTheKeeper(t *testing.T) {
	h := newHouse(t, Options{}, nil)
	p := h.ready()
	p.send("awaitend")
	h.cmd.Process.Kill()
	<-h.ended
	select {
	case reply := <-p.replies:
		if reply != "ok" {
			t.Error(reply)
		}
	case <-time.After(eventually.Patience()):
		t.Errorf("not seen within %s", eventually.Patience())
	}
	if reply := p.ask("notify READY=1"); !strings.Contains(reply, "connection refused") {
		t.Errorf("a notification to a keeper that is gone: %s", reply)
	}
}

// The files that the keeper is started with are for the master, and are still there after a crash.
func TestInheritedSocketsArePassedOn(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.WriteString("given")
	h := newHouse(t, Options{}, func(cmd *exec.Cmd) {
		cmd.ExtraFiles = []*os.File{file}
		exe := cmd.Path
		// LISTEN_PID is known only from within.
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=socket exec "$0"`, exe}
	})
	first := h.ready()
	first.want("inherited", "socket=given")
	first.kill()
	second := h.next("master")
	second.want("inherited", "socket=given")
	second.send("stop 0")
	h.wantCode(0)
}

// The supervisor of the keeper is told of the service, as if the master ran there itself.
func TestNotificationsGoUp(t *testing.T) {
	folder, err := os.MkdirTemp("", "keeper")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := func(text string) {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(eventually.Patience()))
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(buf[:n])); !strings.HasPrefix(got, text) {
			t.Fatalf("%q was told, want %q", got, text)
		}
	}
	h := newHouse(t, Options{}, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=60000000")
	})
	p := h.next("master")
	p.want("watchdog", "30s")
	p.do("notify READY=1 STATUS=4_workers FDNAME=x MAINPID=" + strconv.Itoa(p.pid))
	want("READY=1\nSTATUS=4_workers")
	p.do("notify WATCHDOG=1")
	want("WATCHDOG=1")
	p.do("notify RELOADING=1 MONOTONIC_USEC=123")
	want("RELOADING=1\nMONOTONIC_USEC=123")
	p.kill()
	want("STATUS=master")
	second := h.ready()
	want("READY=1")
	second.send("stop 0")
	want("STOPPING=1")
	h.wantCode(0)
}

// As PID 1 of a container.
func TestAsPID1(t *testing.T) {
	if err := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "true").Run(); err != nil {
		t.Skipf("NOT TESTED: unshare: %v", err)
	}
	h := newHouse(t, Options{}, func(cmd *exec.Cmd) {
		exe := cmd.Path
		path, err := exec.LookPath("unshare")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path, cmd.Args = path, []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child", exe}
	})
	first := h.ready()
	if first.parent != 1 {
		t.Errorf("the master is a child of %d, not of PID 1", first.parent)
	}
	first.do("store web 2")
	first.do("litter 20")
	first.do("barrier")
	worker := first.spawn(h, "worker")
	first.send("panic")
	second := h.ready()
	second.want("inherited", "web=web/0,web/1")
	eventually.True(t, "21 exits", func() bool { return len(strings.Fields(second.ask("exits"))) >= 20 })
	second.send("exit 1")
	third := h.ready()
	third.send("stop 7")
	h.wantCode(7)
	worker.wantGone() // with the namespace
}

func hasExitInfo() bool {
	cmd := exec.Command("/bin/cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return false
	}
	if cmd.Start() != nil {
		return false
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	stdin.Close()
	cmd.Wait()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	st, _ := exitOfStranger(fd)
	return !st.lost
}
