package tickets

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

var seed = flag.Uint64("seed", 1, "of what is killed and stopped when")

const (
	testSlots = 2
	testLimit = 3
	testSeqs  = 1 << 16 // of a row: enough for the length of the test
)

// ledger is what the processes of the test say of what they did, in memory beside the book. A process may be killed before it has said it.
type ledger struct {
	begins, withdrawals, over atomic.Int64
	running                   [testSlots][Seats]atomic.Int64
	entries                   [testSlots][testLimit][testSeqs]struct{ begun, withdrawn atomic.Int32 }
}

func ledgerOn(f *os.File) (*ledger, error) {
	memory, err := ipc.MapMemory(f, int64(unsafe.Sizeof(ledger{})))
	if err != nil {
		return nil, err
	}
	return (*ledger)(unsafe.Pointer(&memory[0])), nil
}

func (l *ledger) of(k Ticket) *struct{ begun, withdrawn atomic.Int32 } {
	return &l.entries[k.slot][k.row][k.word>>24%testSeqs]
}

func init() {
	if run := os.Getenv("TICKETS_TEST_CHILD"); run != "" {
		child(run)
	}
}

// child is a process of TestProcesses: "gateway ID", or "worker ID SLOT SEAT". Its files are the book, the ledger, and for each slot both
// ends of a socket. It ends with its standard input.
func child(run string) {
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, run, err)
			os.Exit(1)
		}
	}
	b, err := Open(os.NewFile(3, "book"))
	must(err)
	l, err := ledgerOn(os.NewFile(4, "ledger"))
	must(err)
	var kind string
	var id uint64
	var slot, seat int
	fmt.Sscan(run, &kind, &id, &slot, &seat)
	for range 3 {
		switch kind {
		case "gateway":
			go send(b, l, OwnerOf(id))
		case "worker":
			go serve(b.Slot(slot), l, seat)
		}
	}
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// linger lets others run for a while.
func linger(most int) {
	for range rand.IntN(most) {
		runtime.Gosched()
	}
}

func send(b *Book, l *ledger, me Owner) {
	for {
		s := b.Slot(rand.IntN(testSlots))
		k, ok := s.Reserve(me, testLimit)
		if !ok {
			linger(100)
			continue
		}
		if err := unix.Send(5+2*s.index, k.AppendText(nil), unix.MSG_DONTWAIT); err != nil { // nobody takes them now
			s.Release(k)
			linger(1000)
			continue
		}
		how := rand.IntN(8)
		if how > 0 { // else the client has gone already
			linger(300)
		}
		if how == 1 || how > 4 && s.State(k) == Sent {
			if s.Withdraw(k) {
				l.of(k).withdrawn.Add(1)
				l.withdrawals.Add(1)
				linger(300)
			}
		}
		for n := 0; how > 2 && s.State(k) == Begun && s.rows[k.row].Load()&stateBits == begun && n < 1000; n++ {
			runtime.Gosched()
		}
		s.Release(k)
	}
}

func serve(s *Slot, l *ledger, seat int) {
	var b [64]byte
	for {
		n, err := unix.Read(6+2*s.index, b[:])
		if err != nil {
			continue
		}
		k, ok := Parse(string(b[:n]))
		if !ok || !s.Begin(k, seat) {
			continue
		}
		l.of(k).begun.Add(1)
		l.begins.Add(1)
		l.running[s.index][seat].Add(1)
		if n := l.running[s.index][0].Load() + l.running[s.index][1].Load(); n > testLimit {
			l.over.Add(1)
		}
		linger(200)
		l.running[s.index][seat].Add(-1)
		s.End(k, seat)
	}
}

// process is one child, and what it is started as again.
type process struct {
	cmd        *exec.Cmd
	stdin      io.Closer
	id         uint64
	slot, seat int // -1: it is a gateway
}

// TestProcesses: gateways and workers are killed and stopped at random while they reserve, begin, withdraw and release. No ticket begins
// twice, none that was withdrawn begins, no slot has more than its limit, and when all have gone no row is lost.
func TestProcesses(t *testing.T) {
	t.Logf("-seed %d", *seed)
	r := rand.New(rand.NewPCG(*seed, 1))
	b := book(t)
	memory, err := ipc.NewMemory("ledger", int64(unsafe.Sizeof(ledger{})))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	l, err := ledgerOn(memory)
	if err != nil {
		t.Fatal(err)
	}
	files := []*os.File{b.File(), memory}
	for range testSlots {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range ends {
			f := os.NewFile(uintptr(fd), "socket")
			defer f.Close()
			files = append(files, f)
		}
	}
	id := uint64(0)
	start := func(p *process) {
		id++
		p.id = id
		run := fmt.Sprintf("gateway %d", id)
		if p.slot >= 0 {
			run = fmt.Sprintf("worker %d %d %d", id, p.slot, p.seat)
		}
		p.cmd = exec.Command(os.Args[0])
		p.cmd.Env = append(os.Environ(), "TICKETS_TEST_CHILD="+run)
		p.cmd.ExtraFiles, p.cmd.Stderr = files, os.Stderr
		stdin, err := p.cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		p.stdin = stdin
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	all := []*process{{slot: -1}, {slot: -1}, {slot: -1}}
	for slot := range testSlots {
		for seat := range Seats {
			all = append(all, &process{slot: slot, seat: seat})
		}
	}
	kill := func(p *process) {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.stdin.Close()
		if p.slot >= 0 {
			l.running[p.slot][p.seat].Store(0)
			b.Ended(p.slot, p.seat)
			return
		}
		gone := OwnerOf(p.id)
		b.Sweep(func(o Owner) bool { return o != gone })
	}
	for _, p := range all {
		start(p)
	}
	progress := func(what string) {
		before := l.begins.Load()
		eventually.True(t, "requests begin "+what, func() bool { return l.begins.Load() > before+50 })
	}
	for range 30 {
		progress("after a kill")
		stopped := all[r.IntN(len(all))]
		stopped.cmd.Process.Signal(syscall.SIGSTOP)
		progress("while one process is stopped")
		p := all[r.IntN(len(all))] // perhaps the one that is stopped
		kill(p)
		start(p)
		if p != stopped {
			stopped.cmd.Process.Signal(syscall.SIGCONT)
		}
	}
	for _, p := range all {
		kill(p)
	}
	for slot := range testSlots {
		s := b.Slot(slot)
		for i := range s.rows {
			if w := s.rows[i].Load(); !isFree(w) {
				t.Errorf("slot %d: row %d is lost: %#x", slot, i, w)
			}
		}
		if s.Taken(0) != 0 {
			t.Errorf("slot %d: %d rows are taken by the hint", slot, s.Taken(0))
		}
		for row := range l.entries[slot] {
			if n := s.rows[row].Load() >> 24; n >= testSeqs {
				t.Fatalf("row %d had %d tickets: more than the test can tell apart", row, n)
			}
			for seq := range l.entries[slot][row] {
				e := &l.entries[slot][row][seq]
				if n := e.begun.Load(); n > 1 || n > 0 && e.withdrawn.Load() > 0 {
					t.Errorf("slot %d, row %d: ticket %d began %d times, and was withdrawn %d times", slot, row, seq, n, e.withdrawn.Load())
				}
			}
		}
	}
	if n := l.over.Load(); n > 0 {
		t.Errorf("a slot had more than %d requests %d times", testLimit, n)
	}
	if l.withdrawals.Load() == 0 {
		t.Error("nothing was withdrawn")
	}
	t.Logf("%d began, %d were withdrawn", l.begins.Load(), l.withdrawals.Load())
}
