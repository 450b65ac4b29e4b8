package listen

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/listen/bpf"
)

// kindsHere are the kinds that this process may use, best first.
func kindsHere(t *testing.T) (kinds []Kind) {
	t.Helper()
	s := mustOpen(t, 1, "127.0.0.1:0")
	if k := s.Steering().Kind; k != KindEBPF {
		t.Logf("NOT TESTED: ebpf: %v", s.Steering().Notes)
		return []Kind{KindCBPF, KindHash}
	}
	return []Kind{KindEBPF, KindCBPF, KindHash}
}

// crowd is connections that are not accepted: the queues tell where they went.
type crowd struct {
	set    *Set
	before []int
}

func newCrowd(t *testing.T, s *Set) *crowd {
	t.Helper()
	return &crowd{set: s, before: queues(t, s)}
}

func queues(t *testing.T, s *Set) (lengths []int) {
	t.Helper()
	for slot := range s.Slots() {
		n, err := s.Queue(slot)
		if err != nil {
			t.Fatal(err)
		}
		lengths = append(lengths, n)
	}
	return lengths
}

// connect connects from an address of this machine ("" any) and leaves the connection open until the end of the test.
func connect(t *testing.T, from string, to netip.AddrPort) {
	t.Helper()
	d := net.Dialer{Timeout: eventually.Patience()}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.DialContext(t.Context(), "tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}

// went waits until n connections have come into the queues since the last call, and returns those of each slot. A client
// may know of its connection a little earlier than its queue.
func (c *crowd) went(t *testing.T, n int) (went []int) {
	t.Helper()
	var now []int
	eventually.True(t, fmt.Sprint(n, " connections in the queues"), func() bool {
		now = queues(t, c.set)
		went = slices.Clone(now)
		for i := range min(len(c.before), len(went)) {
			went[i] -= c.before[i]
		}
		return sum(went) >= n
	})
	c.before = now
	return went
}

// target is where to connect to on a group of the Set.
func target(t *testing.T, s *Set, group int, host string) netip.AddrPort {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addresses()[group].Addr)
	if err != nil {
		t.Fatal(err)
	}
	return netip.MustParseAddrPort(net.JoinHostPort(host, port))
}

func sum(ns []int) (n int) {
	for _, m := range ns {
		n += m
	}
	return n
}

// TestSteerTo has slots in the middle that get nothing, with each kind and policy and in each family.
func TestSteerTo(t *testing.T) {
	needIPv6(t)
	for _, kind := range kindsHere(t) {
		for _, policy := range []Policy{Least, RoundRobin, Random, Hash, ClientIP, CPU} {
			t.Run(fmt.Sprint(kind, " ", policy), func(t *testing.T) {
				o := Options{Best: kind, Policy: policy, CPU: func(slot int) int { return slot % runtime.NumCPU() }}
				s := mustOpenAs(t, 5, o, "127.0.0.1:0", "tcp6://[::1]:0", ":0")
				if st := s.Steering(); st.Kind != kind || st.Policy != policy {
					t.Fatalf("steering is %+v, want %s by %s", st, kind, policy)
				}
				c := newCrowd(t, s)
				for _, slots := range [][]int{{1, 3}, {4}, {0, 2, 4}, {2, 9}, {}} {
					if err := s.SteerTo(slots); err != nil {
						t.Fatal(err)
					}
					for _, to := range []netip.AddrPort{target(t, s, 0, "127.0.0.1"), target(t, s, 1, "::1"), target(t, s, 2, "127.0.0.1"), target(t, s, 2, "::1")} {
						const n = 10
						for range n {
							connect(t, "", to)
						}
						went := c.went(t, n)
						for slot, got := range went {
							if got > 0 && len(slots) > 0 && !slices.Contains(slots, slot) {
								t.Errorf("steered to %v: %s went to %v", slots, to, went)
							}
						}
						if sum(went) != n {
							t.Errorf("steered to %v: %s went to %v, want %d", slots, to, went, n)
						}
					}
				}
			})
		}
	}
}

func TestCBPFSpreads(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		open   []int
	}{{RoundRobin, []int{0, 1, 2, 3, 4, 5}}, {Random, []int{1, 2, 5}}, {Hash, []int{0, 1, 2, 3, 4, 5}}, {Hash, []int{0, 2, 3, 4}}} {
		s := mustOpenAs(t, 6, Options{Best: KindCBPF, Policy: c.policy}, "127.0.0.1:0")
		if err := s.SteerTo(c.open); err != nil {
			t.Fatal(err)
		}
		crowd := newCrowd(t, s)
		to := target(t, s, 0, "127.0.0.1")
		for range 300 {
			connect(t, "", to)
		}
		wantCounts(t, fmt.Sprint(c.policy), crowd.went(t, 300), c.open)
	}

	// Weights, as the watcher gives them for Least.
	s := mustOpenAs(t, 6, Options{Best: KindCBPF}, "127.0.0.1:0")
	to, c := target(t, s, 0, "127.0.0.1"), newCrowd(t, s)
	s.balance([]int{1, 2, 4, 5, 99}, []uint8{1, 0, 2, 3, 7})
	for range 600 {
		connect(t, "", to)
	}
	went := c.went(t, 600)
	for slot, share := range []int{0, 100, 0, 0, 200, 300} {
		if d := went[slot] - share; share == 0 && d != 0 || d > 90 || d < -90 {
			t.Errorf("weighted: slot %d has %d, want about %d", slot, went[slot], share)
		}
	}
	// Who is kept out by the watcher stays out when others come in, who are admitted by another.
	if err := s.SteerTo([]int{0, 1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	s.balance([]int{0, 1}, nil)
	if err := s.SteerTo([]int{1, 2, 3, 4, 5}); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		connect(t, "", to)
	}
	wantCounts(t, "narrowed", c.went(t, 200), []int{1, 5})
	s.balance(nil, nil)
	for range 300 {
		connect(t, "", to)
	}
	wantCounts(t, "no longer narrowed", c.went(t, 300), []int{1, 2, 3, 4, 5})
}

func wantCounts(t *testing.T, what string, went, open []int) {
	t.Helper()
	var slots []int
	for slot, n := range went {
		for range n {
			slots = append(slots, slot)
		}
	}
	wantEven(t, what, slots, open)
}

// wantEven fails if the slots of open are not hit evenly, by chi squared, or if any other is.
func wantEven(t *testing.T, what string, places []int, open []int) {
	t.Helper()
	counts := map[int]int{}
	for _, slot := range places {
		counts[slot]++
	}
	for slot := range counts {
		if !slices.Contains(open, slot) {
			t.Fatalf("%s: slot %d has %d, and is not open", what, slot, counts[slot])
		}
	}
	mean := float64(len(places)) / float64(len(open))
	chi := 0.0
	for _, slot := range open {
		d := float64(counts[slot]) - mean
		chi += d * d / mean
	}
	// 5 standard deviations of chi squared above its mean.
	free := float64(len(open) - 1)
	if limit := free + 5*math.Sqrt(2*free) + 12; chi > limit {
		t.Errorf("%s: chi squared is %.0f, at most %.0f is even: %v", what, chi, limit, counts)
	}
}

func without(slots []int, out ...int) []int {
	return slices.DeleteFunc(slices.Clone(slots), func(n int) bool { return slices.Contains(out, n) })
}

// A client reaches the same slot on all groups that it can reach by the same address, comes back to it after it was out, and
// does not move for another's sake.
func TestCBPFKeepsClients(t *testing.T) {
	needIPv6(t)
	s := mustOpenAs(t, 5, Options{Best: KindCBPF, Policy: ClientIP}, "127.0.0.1:0", ":0", "tcp6://[::1]:0")
	type client struct {
		from string
		to   []netip.AddrPort
	}
	clients := []client{{"::1", []netip.AddrPort{target(t, s, 1, "::1"), target(t, s, 2, "::1")}}}
	for i := range 60 {
		clients = append(clients, client{fmt.Sprintf("127.0.%d.%d", i%3, 2+i), []netip.AddrPort{target(t, s, 0, "127.0.0.1"), target(t, s, 1, "127.0.0.1")}})
	}
	c := newCrowd(t, s)
	// where finds the slot of each client, on all its groups twice.
	where := func() (slots []int) {
		t.Helper()
		for _, client := range clients {
			for _, to := range append(client.to, client.to...) {
				connect(t, client.from, to)
			}
			went := c.went(t, 2*len(client.to))
			slot := slices.IndexFunc(went, func(n int) bool { return n > 0 })
			if went[slot] != sum(went) || sum(went) != 2*len(client.to) {
				t.Errorf("client %s went to %v, want one slot", client.from, went)
			}
			slots = append(slots, slot)
		}
		return slots
	}
	all := where()
	wantEven(t, "clients", all, first(5))
	for _, out := range [][]int{{2}, {2, 4}, {0, 1, 2, 3}, {}} {
		if err := s.SteerTo(without(first(5), out...)); err != nil {
			t.Fatal(err)
		}
		for i, slot := range where() {
			if slices.Contains(out, slot) || slot != all[i] && !slices.Contains(out, all[i]) {
				t.Errorf("without %v: client %s of slot %d went to %d", out, clients[i].from, all[i], slot)
			}
		}
	}
	if st := s.Steering(); !st.Exact || len(st.Notes) != 0 {
		t.Errorf("steering is %+v, want exact", st)
	}
}

// A packet on the loopback is handled by the CPU that sent it.
func TestCBPFKeepsToTheCPU(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	var cpus []int
	for cpu := range 1024 {
		if allowed.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	if len(cpus) < 2 {
		t.Skip("NOT TESTED: needs two CPUs")
	}
	n := 2 * len(cpus)
	s := mustOpenAs(t, n, Options{Best: KindCBPF, Policy: CPU, CPU: func(slot int) int { return cpus[slot%len(cpus)] }}, "127.0.0.1:0")
	to := target(t, s, 0, "127.0.0.1")
	c := newCrowd(t, s)
	for i, cpu := range cpus {
		done := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			var one unix.CPUSet
			one.Set(cpu)
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				done <- err
				return
			}
			for range 40 {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if err == nil {
					err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
					t.Cleanup(func() { unix.Close(fd) })
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		went := c.went(t, 40)
		wantCounts(t, fmt.Sprint("CPU ", cpu), went, []int{i, i + len(cpus)})
	}
}

func TestManySlotsComeAndGo(t *testing.T) {
	for _, kind := range kindsHere(t) {
		t.Run(string(kind), func(t *testing.T) {
			s := mustOpenAs(t, 2, Options{Best: kind, Policy: Random}, "127.0.0.1:0", ":0")
			for slot := 2; slot < 256; slot++ {
				if err := s.OpenSlot(slot); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.SteerTo(first(256)); err != nil {
				t.Fatal(err)
			}
			c := newCrowd(t, s)
			for range 300 {
				connect(t, "", target(t, s, 0, "127.0.0.1"))
			}
			went := c.went(t, 300)
			if sum(went) != 300 || sum(went[2:]) < 200 {
				t.Errorf("%d connections went to %v", sum(went), went)
			}
			if err := s.SteerTo(first(2)); err != nil {
				t.Fatal(err)
			}
			for slot := 255; slot >= 2; slot-- {
				if err := s.CloseSlot(slot); err != nil {
					t.Fatal(err)
				}
			}
			c = newCrowd(t, s)
			for range 20 {
				connect(t, "", target(t, s, 1, "127.0.0.1"))
			}
			if went := c.went(t, 20); sum(went) != 20 {
				t.Errorf("%v of 20 connections came to the slots that are left", went)
			}
			if st := s.Steering(); st.Kind != kind {
				t.Errorf("fell to %s: %v", st.Kind, st.Notes)
			}
		})
	}
}

// The longest programs are not only short enough, the kernel takes them.
func TestKernelTakesTheLongestPrograms(t *testing.T) {
	s := mustOpenAs(t, 2, Options{Best: KindCBPF}, "127.0.0.1:0")
	var open []int
	var weights []uint8
	for slot := 0; slot < ipc.MaxSlots; slot += 2 {
		open, weights = append(open, slot), append(weights, uint8(slot))
	}
	takes := func(c bpf.Choice) {
		c.Slots, c.CPU = ipc.MaxSlots, func(slot int) int { return slot }
		p, err := c.Classic()
		if err == nil {
			err = attach(s.groups[0].socket(0), p)
		}
		if err != nil {
			t.Errorf("%s to %d slots, %d instructions: %v", c.Policy, len(c.Open), len(p), err)
		}
	}
	for _, policy := range bpf.Policies {
		takes(bpf.Choice{Policy: policy, Open: open, Weights: weights})
		connect(t, "", target(t, s, 0, "127.0.0.1"))
	}
	takes(bpf.Choice{Policy: Least, Open: first(ipc.MaxSlots), Weights: append(weights, weights...)})
}

// BenchmarkConnect is a connection from end to end: what a kind and policy add is the difference.
func BenchmarkConnect(b *testing.B) {
	for _, o := range []struct {
		kind   Kind
		policy Policy
	}{{KindHash, Hash}, {KindCBPF, Least}, {KindCBPF, Hash}, {KindCBPF, ClientIP}, {KindEBPF, Least}} {
		b.Run(fmt.Sprint(o.kind, "-", o.policy), func(b *testing.B) {
			s, err := Open([]Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 4, Options{Best: o.kind, Policy: o.policy})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			for slot := range 4 {
				w := &worker{slot: byte(slot)}
				if err := w.start(s); err != nil {
					b.Fatal(err)
				}
				defer w.stop()
			}
			for b.Loop() {
				if _, err := ask(s.Addresses()[0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
