package listen

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// keep duplicates the files, as who holds them for the next master has them, and returns what is left of Saved when it has
// been written and read.
func keep(t *testing.T, s *Set) (saved Saved, files map[string]*os.File) {
	t.Helper()
	text, err := json.Marshal(s.Save())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &saved); err != nil {
		t.Fatal(err)
	}
	files = map[string]*os.File{}
	for name, f := range s.Files() {
		own, err := duplicate(f)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = own
		t.Cleanup(func() { own.Close() })
	}
	return saved, files
}

func mustAdopt(t *testing.T, saved Saved, files map[string]*os.File, o Options) *Set {
	t.Helper()
	s, err := adopt(saved, files, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ownBoard maps the board as a worker does: its memory outlives the Set.
func ownBoard(t *testing.T, s *Set) *ipc.Board {
	t.Helper()
	hot, rows, err := s.Board().Share()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ipc.OpenBoard(hot, rows)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// One Set after the other takes over the sockets of the last, under load and with the workers accepting: nothing is lost,
// and each of them steers, scales and counts as the first did.
func TestAdoptUnderLoad(t *testing.T) {
	for _, kind := range append(kindsHere(t), KindShared) {
		t.Run(string(kind), func(t *testing.T) { adoptUnderLoad(t, Options{Best: kind}) })
	}
}

func adoptUnderLoad(t *testing.T, o Options) {
	path := "unix:" + filepath.Join(t.TempDir(), "x.sock")
	shared := o.Best == KindShared
	if shared {
		o.Best = ""
	}
	s, err := open(mustParse(t, "127.0.0.1:0", ":0", path), 4, o, shared, makers())
	if err != nil {
		t.Fatal(err)
	}
	kind := s.Steering().Kind
	board, addrs := ownBoard(t, s), s.Addresses()
	var workers []*worker
	grow := func(s *Set, slot int) {
		w := &worker{slot: byte(slot)}
		if err := w.startOn(s, board); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.stop)
		workers = append(workers, w)
	}
	for slot := range 4 {
		grow(s, slot)
	}

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var mu sync.Mutex
	asked, lost := 0, map[string]int{}
	for i := range 3 {
		clients.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				_, err := ask(addrs[i])
				mu.Lock()
				asked++
				if err != nil {
					lost[err.Error()]++
				}
				mu.Unlock()
			}
		})
	}
	for round := range 5 {
		saved, files := keep(t, s)
		s.Leave()
		before := make([]int, len(workers))
		for i, w := range workers {
			before[i] = w.count()
		}
		s = mustAdopt(t, saved, files, o)
		if got := s.Steering(); got.Kind != kind {
			t.Fatalf("steered by %s: %v", got.Kind, got.Notes)
		}
		if got := s.Addresses(); !slices.Equal(got, addrs) {
			t.Fatalf("addresses are %v, were %v", got, addrs)
		}
		n := s.Slots()
		if err := s.OpenSlot(n); err != nil {
			t.Fatal(err)
		}
		grow(s, n)
		before = append(before, 0)
		if err := s.SteerTo(first(n + 1)); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, "all slots answer, and more", func() bool {
			for i, w := range workers {
				if w.count() == before[i] && !shared { // there no slot is owed any
					return false
				}
			}
			mu.Lock()
			defer mu.Unlock()
			return asked >= 50*(round+1)
		})
	}
	close(stop)
	clients.Wait()
	if len(lost) > 0 {
		t.Errorf("lost of %d connections: %v", asked, lost)
	}
	if !shared {
		if err := s.SteerTo([]int{2}); err != nil {
			t.Fatal(err)
		}
		if got := askMany(t, addrs[0], 20); got[2] != 20 {
			t.Errorf("steered to 2, answered by %v", got)
		}
	}
	for i, w := range workers {
		if w.lost > 0 {
			t.Errorf("worker %d could not answer %d", i, w.lost)
		}
		w.stop()
	}
	for slot := s.Slots() - 1; slot >= 0; slot-- {
		if err := s.CloseSlot(slot); err != nil {
			t.Fatal(err)
		}
	}
	if exists(strings.TrimPrefix(path, "unix:")) {
		t.Error("the file of the Unix-domain socket is left")
	}
}

// What the board says of those who are connected is not touched by who adopts it.
func TestAdoptKeepsTheBoard(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0")
	s.Seat(1, 1, 42)
	line, row := s.Board().Line(1), s.Board().Row(1, 1)
	line.Assigned.Add(10)
	line.Accepted[1].Add(7)
	row.Opened.Add(7)
	saved, files := keep(t, s)
	s.Leave()
	s = mustAdopt(t, saved, files, Options{})
	line, row = s.Board().Line(1), s.Board().Row(1, 1)
	if line.Assigned.Load() != 10 || line.Held(1) != 7*ipc.Weight || row.Opened.Load() != 7 {
		t.Errorf("assigned %d, held %d, opened %d", line.Assigned.Load(), line.Held(1), row.Opened.Load())
	}
	if s.Keep(1, 0, 42) || s.Keep(1, 1, 41) || s.Keep(5, 5, 42) {
		t.Error("kept the seat of another worker")
	}
	if !s.Keep(1, 1, 42) {
		t.Fatal("did not keep a seat")
	}
	s.Vacate(1, 1)
	if held := line.Held(1); held != 0 {
		t.Errorf("held %d after its worker has gone", held)
	}
}

// A set that is adopted has the descriptors of one that was opened, also after slots have come and gone: masters follow one
// another for years.
func TestAdoptCostsNoDescriptors(t *testing.T) {
	ofBPF := func() (n int) {
		t.Helper()
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range all {
			if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "anon_inode:bpf") {
				n++
			}
		}
		return n
	}
	before := ofBPF()
	s := mustOpen(t, 2, "127.0.0.1:0")
	s.Files() // as for a master that may have a next one
	opened := ofBPF() - before
	for range 3 {
		saved, files := keep(t, s)
		s.Leave()
		s = mustAdopt(t, saved, files, Options{})
		for _, f := range files {
			f.Close()
		}
		if err := s.OpenSlot(2); err != nil {
			t.Fatal(err)
		}
		s.Files()
		if err := s.CloseSlot(2); err != nil {
			t.Fatal(err)
		}
		if adopted := ofBPF() - before; adopted != opened {
			t.Fatalf("%d descriptors of BPF after an adoption, %d before", adopted, opened)
		}
	}
}

// The last slot was about to be closed when the process ended that had it: its socket is gone, or is still there.
func TestAdoptWithoutTheLastSlot(t *testing.T) {
	for _, kind := range kindsHere(t) {
		for _, gone := range []bool{true, false} {
			t.Run(fmt.Sprint(kind, gone), func(t *testing.T) {
				o := Options{Best: kind}
				s, err := open(mustParse(t, "127.0.0.1:0", "127.0.0.1:0"), 3, o, false, makers())
				if err != nil {
					t.Fatal(err)
				}
				for slot := range 2 {
					startWorker(t, s, slot)
				}
				if err := s.SteerTo(first(2)); err != nil {
					t.Fatal(err)
				}
				saved, files := keep(t, s)
				want := 3
				if gone { // one of the two, the other a moment later
					want = 2
					files[SocketName(1, 2)].Close()
					delete(files, SocketName(1, 2))
				}
				s.Leave()
				s = mustAdopt(t, saved, files, o)
				if got := s.Slots(); got != want {
					t.Errorf("%d slots, want %d", got, want)
				}
				if gone {
					files[SocketName(0, 2)].Close()
				}
				for _, address := range s.Addresses() {
					if got := askMany(t, address, 20); got[0]+got[1] != 20 {
						t.Errorf("%s is answered by %v", address, got)
					}
				}
			})
		}
	}
}

// What does not fit is refused, and leaves the sockets as they are.
func TestAdoptRefuses(t *testing.T) {
	s := mustOpen(t, 2, "127.0.0.1:0")
	w := startWorker(t, s, 0)
	startWorker(t, s, 1)
	saved, files := keep(t, s)
	for name, c := range map[string]struct {
		saved Saved
		files map[string]*os.File
		want  string
	}{
		"too many slots":     {Saved{Slots: 5000}, files, "5000 slots"},
		"negative":           {Saved{Slots: -1}, files, "-1 slots"},
		"an IP that is none": {Saved{Slots: 2, Addresses: []SavedAddress{{Network: "tcp", Addr: "x", IP: "x"}}}, files, "address x"},
	} {
		a, err := adopt(c.saved, c.files, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
		if err == nil {
			a.Leave()
		}
	}
	before := w.count()
	eventually.True(t, "it is served as before", func() bool {
		_, err := ask(s.Addresses()[0])
		return err == nil && w.count() > before
	})
	a := mustAdopt(t, saved, files, Options{}) // and can be adopted in the end
	if a.Slots() != 2 {
		t.Errorf("%d slots", a.Slots())
	}
}
