package listen

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// peer is another process: this test binary once more, in a role.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	// over is closed when all is read from out; nil: no goroutine reads.
	over chan struct{}
}

// startPeer gives the peer files, from descriptor 3 on. It ends when its standard input does.
func startPeer(t testing.TB, role string, files []*os.File, args ...string) *peer {
	t.Helper()
	p := &peer{cmd: exec.Command(os.Args[0], "-test.run=^TestPeer$", "-test.timeout=120s")}
	p.cmd.Env = append(os.Environ(), "TINE_TEST_PEER="+role+" "+strings.Join(args, " "))
	p.cmd.ExtraFiles = files
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	t.Cleanup(p.end)
	return p
}

func (p *peer) end() {
	if p.cmd.ProcessState != nil {
		return
	}
	p.in.Close()
	_ = p.cmd.Process.Signal(unix.SIGCONT)
	kill := time.AfterFunc(eventually.Patience(), func() { p.cmd.Process.Kill() })
	if p.over != nil {
		<-p.over
	}
	io.Copy(io.Discard, p.out)
	_ = p.cmd.Wait()
	kill.Stop()
}

func (p *peer) say(t testing.TB, what any) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		t.Fatal(err)
	}
}

// line is the next line that it says.
func (p *peer) line(t testing.TB) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the peer ends: %v, after %q", err, line)
	}
	return strings.TrimSpace(line)
}

// stop returns when all threads of the peer are stopped.
func (p *peer) stop(t testing.TB) {
	t.Helper()
	p.signal(t, unix.SIGSTOP)
	tasks := fmt.Sprintf("/proc/%d/task/", p.cmd.Process.Pid)
	eventually.True(t, "the peer is stopped", func() bool {
		threads, err := os.ReadDir(tasks)
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			stat, err := os.ReadFile(tasks + thread.Name() + "/stat")
			if err == nil && !strings.Contains(string(stat), ") T ") {
				return false
			}
		}
		return true
	})
}

func (p *peer) proceed(t testing.TB) {
	t.Helper()
	p.signal(t, unix.SIGCONT)
}

func (p *peer) signal(t testing.TB, s unix.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestPeer is what a peer runs.
func TestPeer(t *testing.T) {
	args := strings.Fields(os.Getenv("TINE_TEST_PEER"))
	if len(args) == 0 {
		t.Skip("for other tests")
	}
	var err error
	switch args[0] {
	case "client":
		err = clientPeer(args[1], args[2])
	case "load":
		err = loadPeer(args[1], args[2], args[3])
	case "master":
		err = masterPeer(t, args[1], args[2])
	case "worker":
		err = workerPeer(args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer", args, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// clientPeer makes n connections at first and for each line of its input, and keeps them.
func clientPeer(addr, n string) error {
	for in := bufio.NewScanner(os.Stdin); ; n = in.Text() {
		more, err := strconv.Atoi(n)
		if err != nil {
			return err
		}
		for range more {
			c, err := net.DialTimeout("tcp", addr, eventually.Patience())
			if err != nil {
				return err
			}
			defer c.Close()
		}
		fmt.Println("connected")
		if !in.Scan() {
			return nil
		}
	}
}

// loadPeer makes connections at a rate, each until its answer has come, and says how many, how many
// failed, in what time 99 of 100 were answered, and how many took longer than 50 ms. It
// begins at a line of input and ends after d or at the next line.
func loadPeer(addr, rate, d string) error {
	perSecond, err := strconv.Atoi(rate)
	if err != nil {
		return err
	}
	length, err := time.ParseDuration(d)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	stop := make(chan struct{})
	go func() {
		in.ReadString('\n')
		close(stop)
	}()
	var asked, failed atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	at := Address{Network: "tcp", Addr: addr}
	tick := time.NewTicker(5 * time.Millisecond)
	began := time.Now()
	for made := 0; time.Since(began) < length; {
		select {
		case <-stop:
			length = 0
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * float64(perSecond)); made < due; made++ {
			all.Go(func() {
				asked.Add(1)
				began := time.Now()
				if _, err := ask(at); err != nil {
					failed.Add(1)
				}
				d := time.Since(began)
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			})
		}
	}
	all.Wait()
	slices.Sort(took)
	p99, over := time.Duration(0), 0
	if len(took) > 0 {
		p99 = took[len(took)*99/100]
		i, _ := slices.BinarySearch(took, 50*time.Millisecond)
		over = len(took) - i
	}
	fmt.Println(asked.Load(), failed.Load(), p99, over)
	return nil
}

// masterPeer watches a Set whose workers are other processes. It says its address and, for each line of input, what it has
// cost so far: time of the processor in microseconds, how often it has slept, and how often the watcher has looked.
func masterPeer(t *testing.T, kind, slots string) error {
	n, err := strconv.Atoi(slots)
	if err != nil {
		return err
	}
	s, err := Open([]Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, n, Options{Best: Kind(kind)})
	if err != nil {
		return err
	}
	defer s.Close()
	if got := s.Steering().Kind; got != Kind(kind) {
		fmt.Println("no", kind, s.Steering().Notes)
		return nil
	}
	var workers []*peer
	for slot := range n {
		workers = append(workers, seatWorker(t, s, slot, 0, 3*time.Millisecond, "counts"))
	}
	if err := s.Watch(Watch{Pulse: time.Second, Notify: func(n Notice) {
		if n.What != Pulse {
			fmt.Fprintf(os.Stderr, "%+v\n", n)
		}
	}}); err != nil {
		return err
	}
	fmt.Println(s.Addresses()[0].Addr)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var ru unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
			return err
		}
		s.mu.Lock()
		looks, changes := s.observer.(*watcher).looks, s.observer.(*watcher).changes
		s.mu.Unlock()
		fmt.Println((ru.Utime.Nano()+ru.Stime.Nano())/1000, ru.Nvcsw, looks, changes)
	}
	for _, w := range workers {
		w.end()
	}
	return nil
}

// workerPeer accepts in a seat like a worker, and counts on the board: slot, seat, how long it works on a connection,
// and what else: "deaf" never accepts, "plain" does not count, "keep" keeps connections open and idle until they are closed.
// Its files are the sockets and the board. It says a line for each time that it wakes the watcher.
func workerPeer(args []string) error {
	slot, _ := strconv.Atoi(args[0])
	seat, _ := strconv.Atoi(args[1])
	work, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	how := args[3]
	sockets, _ := strconv.Atoi(args[4])
	var ls []net.Listener
	for i := range sockets {
		f := os.NewFile(uintptr(3+i), "socket")
		l, err := net.FileListener(f)
		if err != nil {
			return err
		}
		f.Close()
		ls = append(ls, l)
	}
	board, err := ipc.OpenBoard(os.NewFile(uintptr(3+sockets), "hot"), os.NewFile(uintptr(4+sockets), "rows"))
	if err != nil {
		return err
	}
	w := &boardWorker{slot: byte(slot), seat: seat, head: board.Header(), line: board.Line(slot), row: board.Row(slot, seat), work: work, how: how}
	if how != "deaf" {
		for _, l := range ls {
			go w.accept(l)
		}
	}
	if how != "plain" {
		go w.beat()
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return nil
}

type boardWorker struct {
	slot byte
	seat int
	head *ipc.Header
	told atomic.Int64
	line *ipc.Line
	row  *ipc.Row
	work time.Duration
	how  string
}

func (w *boardWorker) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		counts := w.how != "plain"
		if counts {
			w.line.Accepted[w.seat].Add(1)
			w.line.AcceptedAt.Store(ipc.Monotonic())
			w.row.Opened.Add(1)
			if at := w.head.Asleep.Load(); at != 0 && w.told.Swap(at) != at {
				fmt.Println("wake")
			}
		}
		go func() {
			time.Sleep(w.work)
			c.Write([]byte{w.slot})
			released := uint64(ipc.Weight)
			if w.how == "keep" {
				w.line.Released[w.seat].Add(ipc.Busy)
				released = 1
				c.Read(make([]byte, 1))
			}
			c.Close()
			if counts {
				w.row.Closed.Add(1)
				w.line.Released[w.seat].Add(released)
			}
		}()
	}
}

func (w *boardWorker) beat() {
	for range time.Tick(100 * time.Millisecond) {
		if w.row.Opened.Load() != w.row.Closed.Load() {
			w.row.Heartbeat.Store(ipc.Monotonic())
		}
	}
}

// seatWorker starts a worker in a seat of s, and returns when it accepts.
func seatWorker(t testing.TB, s *Set, slot, seat int, work time.Duration, how string) *peer {
	t.Helper()
	_, files, err := s.Share(slot)
	if err != nil {
		t.Fatal(err)
	}
	sockets := len(files)
	hot, rows, err := s.Board().Share()
	if err != nil {
		t.Fatal(err)
	}
	s.Seat(slot, seat, workerID.Add(1))
	p := startPeer(t, "worker", append(files, hot, rows), strconv.Itoa(slot), strconv.Itoa(seat), work.String(), how, strconv.Itoa(sockets))
	p.line(t)
	p.over = make(chan struct{})
	go func() {
		defer close(p.over)
		for {
			if _, err := p.out.ReadString('\n'); err != nil {
				return
			}
			s.Wake()
		}
	}()
	return p
}

var workerID atomic.Uint64
