package listen

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// shutSocket does to a slot's socket of an address what a worker can that shares it.
func shutSocket(t *testing.T, s *Set, address, slot int) {
	t.Helper()
	_, files, err := s.Share(slot)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		defer f.Close()
	}
	if err := ipc.Control(files[address], func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }); err != nil {
		t.Fatal(err)
	}
}

// startApart is startWorker with a board of its own, which outlives the Set.
func startApart(t *testing.T, s *Set, slot int) *worker {
	t.Helper()
	w := &worker{slot: byte(slot)}
	if err := w.startOn(s, ownBoard(t, s)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.stop)
	return w
}

// reaches holds that each slot can be steered to alone, and that all answer together.
func reaches(t *testing.T, s *Set, exact bool) {
	t.Helper()
	addresses := s.Addresses()
	if exact {
		for slot := range s.Slots() {
			if err := s.SteerTo([]int{slot}); err != nil {
				t.Fatal(err)
			}
			for _, a := range addresses {
				if got := askMany(t, a, 8); a.Network != "unix" && got[slot] != 8 {
					t.Errorf("%s answers by %v, slot %d alone is admitted", a, got, slot)
				}
			}
		}
	}
	if err := s.SteerTo(first(s.Slots())); err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		askMany(t, a, 20)
	}
}

// What of a Set cannot be adopted is made anew in its place. No other slot notices: the other sockets are the same, and what their
// workers accept is answered.
func TestAdoptMends(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	missing := func(names ...string) func(*testing.T, *Set, map[string]*os.File) {
		return func(_ *testing.T, _ *Set, files map[string]*os.File) {
			for _, name := range names {
				files[name].Close() // its worker has the last one
				delete(files, name)
			}
		}
	}
	shut := func(slots ...int) func(*testing.T, *Set, map[string]*os.File) {
		return func(t *testing.T, s *Set, _ map[string]*os.File) {
			for _, slot := range slots {
				shutSocket(t, s, 0, slot)
			}
		}
	}
	for _, kind := range kindsHere(t) {
		for _, c := range []struct {
			name   string
			spoil  func(*testing.T, *Set, map[string]*os.File)
			mended []int // slots
			exact  bool  // a classic program knows the kernel's order
		}{
			{"nothing", missing(), nil, true},
			{"first shut", shut(0), []int{0}, true},
			{"middle shut", shut(1), []int{1}, true},
			{"last shut", shut(3), []int{3}, true},
			{"last two shut", shut(2, 3), []int{2, 3}, true},
			{"all shut", shut(2, 0, 1, 3), []int{0, 1, 2, 3}, true},
			{"two shut", shut(0, 1), []int{0, 1}, false},
			{"Unix shut", func(t *testing.T, s *Set, _ map[string]*os.File) { shutSocket(t, s, 2, 0) }, []int{AllSlots}, true},
			{"one missing", missing("sock.0.1"), []int{1}, false},
			{"one is no socket", func(_ *testing.T, _ *Set, files map[string]*os.File) {
				files["sock.1.2"].Close()
				files["sock.1.2"] = null
			}, []int{2}, false},
			{"spoilt header", func(_ *testing.T, s *Set, _ map[string]*os.File) {
				s.Board().Header().Magic, s.Board().Header().Slots = 0, 1<<60
			}, nil, true},
			{"no lines", missing("hot"), []int{AllSlots}, true},
			{"no rows", missing("rows"), []int{AllSlots}, true},
			{"lines that are none", func(_ *testing.T, _ *Set, files map[string]*os.File) { files["hot"] = null }, []int{AllSlots}, true},
			{"a table of no group", func(_ *testing.T, _ *Set, files map[string]*os.File) { files["table.7"] = null }, nil, true},
		} {
			t.Run(string(kind)+"/"+strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
				o := Options{Best: kind, Policy: Random}
				s, err := open(mustParse(t, "127.0.0.1:0", "127.0.0.1:0", "unix:"+filepath.Join(t.TempDir(), "x.sock")), 4, o, false, makers())
				if err != nil {
					t.Fatal(err)
				}
				addresses := s.Addresses()
				workers := map[int]*worker{}
				for slot := range 4 {
					workers[slot] = startApart(t, s, slot)
				}
				saved, files := keep(t, s)
				c.spoil(t, s, files)
				before := maps.Clone(files)
				s.Leave()
				s, err = Prepare(saved, files, o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				var slots []int
				for _, m := range s.Begin() {
					if m.Err != nil {
						t.Error(m.Err)
					}
					slots = append(slots, m.Slot)
				}
				if !slices.Equal(slots, c.mended) {
					t.Fatalf("mended %v, want %v", slots, c.mended)
				}
				for slot, w := range workers {
					if !slices.Contains(slots, slot) && !slices.Contains(slots, AllSlots) {
						continue
					}
					w.stop()
					startApart(t, s, slot)
				}
				if got := s.Addresses(); !slices.Equal(got, addresses) {
					t.Errorf("it listens on %v, did on %v", got, addresses)
				}
				for name, f := range s.Files() {
					if strings.HasPrefix(name, fileSocket) && !slices.ContainsFunc(slots, func(slot int) bool {
						return slot == AllSlots || strings.HasSuffix(name, fmt.Sprint(".", slot))
					}) && cookieOf(t, f) != cookieOf(t, before[name]) {
						t.Errorf("%s is another socket", name)
					}
				}
				reaches(t, s, c.exact && kind != KindHash || kind == KindEBPF)

				// It can be left and adopted as it is now.
				saved, files = keep(t, s)
				s.Leave()
				s = mustAdopt(t, saved, files, o)
				reaches(t, s, c.exact && kind != KindHash || kind == KindEBPF)
			})
		}
	}
}

func cookieOf(t *testing.T, f *os.File) (cookie uint64) {
	t.Helper()
	err := ipc.Control(f, func(fd int) (err error) {
		cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

// A Set that is prepared and left again has changed nothing: its owner goes on, and its programs steer.
func TestPrepareChangesNothing(t *testing.T) {
	for _, kind := range kindsHere(t) {
		t.Run(string(kind), func(t *testing.T) {
			s, err := open(mustParse(t, "127.0.0.1:0", "127.0.0.1:0"), 3, Options{Best: kind, Full: 7}, false, makers())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			for slot := range 3 {
				startWorker(t, s, slot)
			}
			if err := s.SteerTo([]int{1}); err != nil {
				t.Fatal(err)
			}
			memory := func() []byte {
				return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(s.Board().Header())), ipc.BoardBytes))
			}
			for range 3 {
				saved, files := keep(t, s)
				shutSocket(t, s, 1, 2)
				before := memory()
				other, err := Prepare(saved, files, Options{Best: kind, Policy: RoundRobin, Full: 3})
				if err != nil {
					t.Fatal(err)
				}
				other.Leave()
				if !bytes.Equal(memory(), before) {
					t.Error("it has written to the board")
				}
				if got := askMany(t, s.Addresses()[0], 20); kind != KindHash && got[1] != 20 {
					t.Errorf("it has steered: %v", got)
				}
				for _, m := range s.Mend(2) {
					if m.Err != nil {
						t.Fatal(m.Err)
					}
				}
			}
		})
	}
}

// A socket that a worker shuts down is noticed at rest and under load, and mended under load: who reaches another slot
// notices nothing.
func TestDeafSocketIsNoticed(t *testing.T) {
	for _, kind := range kindsHere(t) {
		for _, address := range []int{0, 1} {
			t.Run(fmt.Sprint(kind, address), func(t *testing.T) {
				s, err := open(mustParse(t, "127.0.0.1:0", "unix:"+filepath.Join(t.TempDir(), "x.sock")), 3, Options{Best: kind}, false, makers())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				for slot := range 3 {
					startApart(t, s, slot)
				}
				notices := make(chan Notice, 100)
				if err := s.Watch(Watch{Notify: func(n Notice) { notices <- n }}); err != nil {
					t.Fatal(err)
				}
				for _, slot := range []int{1, 0, 2} {
					if address == 1 {
						slot = 0
					}
					shutSocket(t, s, address, slot)
					for n := range notices {
						if n.What == Deaf {
							if n.Slot != slot {
								t.Fatalf("slot %d is deaf, it is %d", n.Slot, slot)
							}
							break
						}
					}
					if address == 0 {
						for range 50 {
							if got, err := ask(s.Addresses()[0]); err != nil || got == slot {
								t.Fatalf("answered by %d: %v", got, err)
							}
						}
					}
					mended := s.Mend(slot)
					if len(mended) != 1 || mended[0].Err != nil {
						t.Fatalf("%+v", mended)
					}
					if len(s.Mend(slot)) != 0 {
						t.Error("mended twice")
					}
					startApart(t, s, slot)
					reaches(t, s, kind != KindHash)
				}
			})
		}
	}
}

// What a worker changes of a socket that it shares does not reach its successor.
func TestShareFreshens(t *testing.T) {
	s := mustOpen(t, 1, "127.0.0.1:0")
	_, files, err := s.Share(0)
	if err != nil {
		t.Fatal(err)
	}
	defer files[0].Close()
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	err = ipc.Control(files[0], func(fd int) error {
		if err := unix.SetNonblock(fd, false); err != nil {
			return err
		}
		if err := unix.Listen(fd, 0); err != nil {
			return err
		}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
	})
	if err != nil {
		t.Fatal(err)
	}
	startWorker(t, s, 0)
	askMany(t, s.Addresses()[0], 5)
	_ = ipc.Control(files[0], func(fd int) error {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the socket blocks: %#x, %v", flags, err)
		}
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || int(info.Sacked) != backlog() {
			t.Errorf("its queue has room for %d: %v", info.Sacked, err)
		}
		return nil
	})
}

// startMended mends a slot, and gives it a worker.
func startMended(t *testing.T, s *Set, slot int) *worker {
	t.Helper()
	for _, m := range s.Mend(slot) {
		if m.Err != nil {
			t.Fatal(m.Err)
		}
	}
	return startApart(t, s, slot)
}

// Sockets that are shut down before the Set looks leave an order that it has not seen. It is known or not, but never taken for
// another: a slot that is out gets nothing as long as a program steers.
func TestMendOfSeveral(t *testing.T) {
	for _, kind := range kindsHere(t) {
		for _, shut := range [][]int{{0, 1}, {1, 0}, {2, 0}, {3, 2}, {2, 1, 3}} {
			t.Run(fmt.Sprint(kind, shut), func(t *testing.T) {
				s := mustOpenAs(t, 4, Options{Best: kind, Policy: Random}, "127.0.0.1:0")
				for slot := range 4 {
					startApart(t, s, slot)
				}
				for _, slot := range shut {
					shutSocket(t, s, 0, slot)
				}
				slices.Sort(shut)
				for _, slot := range shut {
					startMended(t, s, slot)
				}
				reaches(t, s, s.Steering().Kind != KindHash)
			})
		}
	}
}

// The slots that are added and removed around a socket that was shut down are steered as if it had not been.
func TestMendAroundScaling(t *testing.T) {
	for _, kind := range kindsHere(t) {
		t.Run(string(kind), func(t *testing.T) {
			s := mustOpenAs(t, 4, Options{Best: kind, Policy: Random}, "127.0.0.1:0", "127.0.0.1:0")
			workers := map[int]*worker{}
			for slot := range 4 {
				workers[slot] = startApart(t, s, slot)
			}
			shutSocket(t, s, 0, 1)
			if err := s.OpenSlot(4); err != nil {
				t.Fatal(err)
			}
			startApart(t, s, 4)
			startMended(t, s, 1)
			shutSocket(t, s, 0, 4)
			workers[4] = startMended(t, s, 4)
			reaches(t, s, kind != KindHash)
			for _, slot := range []int{4, 3, 2} {
				workers[slot].stop()
				if err := s.CloseSlot(slot); err != nil {
					t.Fatal(err)
				}
			}
			if st := s.Steering(); st.Kind != kind {
				t.Fatalf("it steers by %s: %v", st.Kind, st.Notes)
			}
			reaches(t, s, kind != KindHash)
		})
	}
}
