package listen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/listen/bpf"
)

func TestEBPFTakesExactTurnsAtRest(t *testing.T) {
	for _, policy := range []Policy{Least, RoundRobin} {
		r := newRig(t, 8, Options{Policy: policy}, "127.0.0.1:0", ":0")
		for group := range r.addrs {
			for slot := range 8 {
				r.serve(t, group, slot)
			}
		}
		next := answer(t, r.target(0))
		for i := range 80 {
			next = (next + 1) % 8
			if slot := answer(t, r.target(i/8%2)); slot != next {
				t.Fatalf("%s: connection %d went to slot %d, want %d", policy, i, slot, next)
			}
		}
	}
}

// Before Linux 5.14 the kernel knows the program without moving queues.
func TestEBPFLoadsWithoutMoving(t *testing.T) {
	for _, policy := range []Policy{Least, RoundRobin, Random, Hash, ClientIP, CPU} {
		r := newRig(t, 1, Options{Policy: policy, Refuse: true})
		r.reuseEBPF.migrate = false
		g, err := r.newGroup(4)
		if err != nil {
			t.Fatalf("%s: %+v", policy, err)
		}
		r.spare = g
	}
}

func TestEBPFEachClassLoads(t *testing.T) {
	for _, policy := range []Policy{Least, RoundRobin, Random, Hash, ClientIP, CPU} {
		for slots := bpf.Class(1); slots <= ipc.MaxSlots; slots *= 2 {
			hot := needEBPF(t)
			board, err := ipc.NewBoardOn(hot)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			s, err := newEBPF(hot, board, slots, Options{Policy: policy, Refuse: true, Full: 5})
			if err != nil {
				t.Fatalf("%s, %d slots: %+v", policy, slots, err)
			}
			t.Logf("%s, %d slots: loaded in %s", policy, slots, time.Since(begin))
			s.close()
			board.Close()
		}
	}
}

// hold makes the slot look as if it had so many busy and so many idle connections.
func (r *rig) hold(slot, busy, idle int) {
	l := r.board.Line(slot)
	n := uint64(busy + idle)
	l.Assigned.Add(n)
	l.Accepted[1].Add(n)
	l.Released[1].Add(uint64(idle) * ipc.Busy)
}

func TestEBPFAvoidsLoad(t *testing.T) {
	r := newRig(t, 4, Options{})
	r.hold(0, 3, 0)
	r.hold(1, 0, 2)
	r.hold(2, 0, 1)
	r.hold(3, 1, 0)
	// Idle connections break the tie, busy ones decide: those that are not accepted yet are busy.
	for i, want := range []int{2, 1, 3, 2, 1, 3, 2, 1, 3, 0} {
		if slot := r.pickOne(t, 0, ""); slot != want {
			t.Errorf("connection %d went to slot %d, want %d", i, slot, want)
		}
	}
}

func TestEBPFLoadThatIsNegativeIsNone(t *testing.T) {
	r := newRig(t, 4, Options{})
	r.board.Line(2).Released[1].Add(5 * ipc.Weight)
	r.board.Line(2).Accepted[1].Add(5)
	r.board.Header().Last.Store(3)
	for _, want := range []int{0, 1, 2, 3} {
		if slot := r.pickOne(t, 0, ""); slot != want {
			t.Errorf("slot %d, want %d: it is to have its turn and no more", slot, want)
		}
	}
}

// The program and its description agree whatever is on the board.
func TestEBPFPicksTheLeastKey(t *testing.T) {
	for _, policy := range []Policy{Least, RoundRobin} {
		for _, slots := range []int{3, 8, 40, 700} {
			needFiles(t, slots)
			r := newRig(t, slots, Options{Policy: policy, Full: 3})
			h := r.board.Header()
			const wait = 1 << 40 // ns: not to be reached while the test runs
			h.StaleAfter.Store(wait)
			random := rand.New(rand.NewPCG(7, uint64(slots)))
			for round := range max(60-slots, 10) {
				var open []int
				for slot := range slots {
					l := r.board.Line(slot)
					settleLine(l)
					r.hold(slot, random.IntN(5), random.IntN(3))
					l.Released[0].Add(uint64(random.IntN(20) / 19 * 9 * ipc.Weight)) // one of 20 is negative
					l.AcceptedAt.Store(ipc.Monotonic())
					if random.IntN(4) == 0 {
						l.AcceptedAt.Store(-wait)
					}
					if random.IntN(3) == 0 {
						l.Assigned.Add(1)
					}
					if random.IntN(3) > 0 {
						open = append(open, slot)
					}
				}
				if len(open) == 0 {
					open = first(slots)
				}
				if err := r.steer(open, nil); err != nil {
					t.Fatal(err)
				}
				h.Last.Store(uint64(random.IntN(slots)))
				want := leastKey(r.board, slots, policy)
				if slot := r.pickOne(t, 0, ""); slot != want {
					t.Fatalf("%s, round %d: slot %d of %v, want %d", policy, round, slot, open, want)
				}
			}
		}
	}
}

// needFiles skips a test for which too few files may be open.
func needFiles(t testing.TB, n int) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(n)+200 {
		t.Skipf("NOT TESTED: %d files may be open, %d slots need more", limit.Cur, n)
	}
}

// leastKey picks as the program is to do. AcceptedAt below 0 is stale.
func leastKey(b *ipc.Board, slots int, policy Policy) (best int) {
	h := b.Header()
	least := ^uint64(0)
	c := uint64(bpf.Class(slots))
	for slot := range slots {
		l := b.Line(slot)
		load := int64(l.Assigned.Load()*ipc.Weight - l.Released[0].Load() - l.Released[1].Load())
		key := (uint64(slot) - h.Last.Load() - 1) % c
		if policy == RoundRobin {
			if load>>20 >= int64(h.Full.Load()) {
				key |= 1 << 60
			}
		} else {
			key |= uint64(max(load, 0)) << 10
		}
		if int64(l.Assigned.Load()-l.Accepted[0].Load()-l.Accepted[1].Load()) > 0 && l.AcceptedAt.Load() < 0 {
			key |= 1 << 61
		}
		key |= l.Flags.Load() << 62
		if key < least {
			best, least = slot, key
		}
	}
	return best
}

func TestEBPFClosedSlotGetsNothing(t *testing.T) {
	for _, policy := range []Policy{Least, RoundRobin, Random, Hash, ClientIP, CPU} {
		r := newRig(t, 8, Options{Policy: policy}, "127.0.0.1:0", ":0")
		for _, open := range [][]int{{3}, {0, 7}, {1, 2, 3, 4, 5, 6}} {
			if err := r.steer(open, nil); err != nil {
				t.Fatal(err)
			}
			for i := range 24 {
				if slot := r.pickOne(t, i%2, ""); !slices.Contains(open, slot) {
					t.Errorf("%s: slot %d of %v", policy, slot, open)
				}
			}
		}
	}
}

// A socket that joins the group is not picked before a steer admits its slot, though the kernel knows it.
func TestEBPFNewSlotGetsNothingBeforeItIsAdmitted(t *testing.T) {
	r := newRig(t, 3, Options{})
	for slots := 4; slots <= 10; slots++ { // beyond two classes
		r.grow(t)
		for range 2 * slots {
			if slot := r.pickOne(t, 0, ""); slot == slots-1 {
				t.Errorf("slot %d, which is not admitted", slot)
			}
		}
		if err := r.steer(first(slots), nil); err != nil {
			t.Fatal(err)
		}
		if slot := r.pickOne(t, 0, ""); slot != slots-1 {
			t.Errorf("slot %d, want %d, which has nothing yet", slot, slots-1)
		}
	}
	if r.queue(t, 0, 9) != 1 {
		t.Errorf("the queues are %v", r.queues(t, 0))
	}
}

func TestEBPFSlotsThatComeAndGo(t *testing.T) {
	r := newRig(t, 1, Options{}, "127.0.0.1:0", ":0")
	for round := range 3 {
		for slots := 2; slots <= 6; slots++ {
			r.grow(t)
			if err := r.steer(first(slots), nil); err != nil {
				t.Fatal(err)
			}
			got := map[int]bool{}
			for range slots {
				got[r.pickOne(t, slots%2, "")] = true
				for slot := range slots {
					settleLine(r.board.Line(slot))
				}
			}
			if len(got) != slots {
				t.Errorf("round %d: %d of %d slots had their turn", round, len(got), slots)
			}
		}
		last := 1 // then the groups themselves end, and begin anew
		if round == 1 {
			last = 0
		}
		for slots := 6; slots > last; slots-- {
			if slots > 1 {
				if err := r.steer(first(slots-1), nil); err != nil {
					t.Fatal(err)
				}
			}
			r.shrink()
		}
		if last == 0 {
			r.grow(t)
			if err := r.steer(first(1), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// shrink closes the last slot.
func (r *rig) shrink() {
	for i, sockets := range r.sockets {
		slot := len(sockets) - 1
		r.leave(i, slot)
		sockets[slot].Close()
		r.sockets[i] = sockets[:slot]
	}
}

func TestEBPFAvoidsWhoDoesNotAccept(t *testing.T) {
	for _, policy := range []Policy{Least, RoundRobin, Random, Hash} {
		r := newRig(t, 2, Options{Policy: policy})
		r.board.Header().StaleAfter.Store(uint64(time.Hour))
		// Slot 0 has less to do, but a connection waits there.
		r.hold(1, 5, 0)
		if policy == Least {
			if slot := r.pickOne(t, 0, ""); slot != 0 {
				t.Fatalf("slot %d, want 0", slot)
			}
		} else {
			r.board.Line(0).Assigned.Add(1)
		}
		r.board.Line(0).AcceptedAt.Store(ipc.Monotonic() - int64(2*time.Hour))
		for range 4 {
			if slot := r.pickOne(t, 0, ""); slot != 1 {
				t.Errorf("%s: slot %d, want 1", policy, slot)
			}
			r.board.Line(1).AcceptedAt.Store(ipc.Monotonic())
		}
		// It accepts again.
		r.board.Line(0).AcceptedAt.Store(ipc.Monotonic())
		eventually.True(t, "a slot is back that accepts", func() bool { return r.pickOne(t, 0, "") == 0 })
	}
}

// After a rest the last accept is long ago: a connection that has just come waits from now on.
func TestEBPFRestIsNotAStall(t *testing.T) {
	r := newRig(t, 2, Options{})
	r.board.Header().StaleAfter.Store(uint64(time.Hour))
	for slot := range 2 {
		r.board.Line(slot).AcceptedAt.Store(1)
	}
	r.hold(1, 2, 0)
	for range 2 {
		if slot := r.pickOne(t, 0, ""); slot != 0 {
			t.Errorf("slot %d, want 0, which has just been given a connection", slot)
		}
	}
	if at := r.board.Line(0).AcceptedAt.Load(); ipc.Monotonic()-at > int64(time.Minute) {
		t.Errorf("AcceptedAt is %d at %d", at, ipc.Monotonic())
	}
}

func TestEBPFRefusesWhenAllAreFull(t *testing.T) {
	for _, policy := range []Policy{Least, RoundRobin, Random, Hash, ClientIP, CPU} {
		r := newRig(t, 4, Options{Policy: policy, Full: 2, Refuse: true}, "127.0.0.1:0", ":0")
		for i := range 8 {
			r.pickOne(t, i%2, "")
		}
		if queues := r.queues(t, 0); slices.Max(queues) > 2 {
			t.Errorf("%s: queues are %v, want not more than are full", policy, queues)
		}
		for group := range 2 {
			begin := time.Now()
			_, err := dialFrom(r.target(group), "")
			if !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%s: error %v when all are full, want refused", policy, err)
			}
			if took := time.Since(begin); took > eventually.Patience()/2 {
				t.Errorf("%s: refused after %s, want at once", policy, took)
			}
		}
		if n := r.board.Header().Refused.Load(); n != 2 {
			t.Errorf("%s: refused is %d, want 2", policy, n)
		}
		if n := r.board.Header().Picked.Load(); n != 8 {
			t.Errorf("%s: picked is %d, want 8", policy, n)
		}
		// An idle connection makes room.
		r.board.Line(3).Released[0].Add(ipc.Busy)
		if slot := r.pickOne(t, 0, ""); slot != 3 {
			t.Errorf("%s: slot %d, want 3, which has room", policy, slot)
		}
	}
}

func TestEBPFQueuesWhenAllAreFull(t *testing.T) {
	for _, policy := range []Policy{Least, RoundRobin, Random, ClientIP} {
		r := newRig(t, 4, Options{Policy: policy, Full: 2})
		for range 20 {
			r.pickOne(t, 0, "")
		}
		if queues := r.queues(t, 0); slices.Min(queues) < 2 {
			t.Errorf("%s: queues are %v: one had room while others were full", policy, queues)
		}
		if n := r.board.Header().Refused.Load(); n != 0 {
			t.Errorf("%s: refused is %d, want 0", policy, n)
		}
	}
}

// Assigned is the connections, one for one, however they end.
func TestEBPFCountsEachConnectionOnce(t *testing.T) {
	r := newRig(t, 4, Options{})
	for slot := range 4 {
		r.serve(t, 0, slot)
	}
	const n = 400
	for i := range n {
		c, err := dialFrom(r.target(0), "")
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0: // closed in order
			c.(*net.TCPConn).SetLinger(-1)
		case 1: // after the answer
			var b [1]byte
			c.Read(b[:])
		}
		c.Close()
	}
	sum := uint64(0)
	for _, a := range r.assigned(0) {
		sum += a
	}
	if sum != n || r.board.Header().Picked.Load() != n {
		t.Errorf("assigned are %d, picked %d, want %d", sum, r.board.Header().Picked.Load(), n)
	}
	eventually.True(t, "all are accepted", func() bool {
		sum := uint64(0)
		for slot := range 4 {
			sum += r.board.Line(slot).Accepted[0].Load()
		}
		return sum == n
	})
}

// A packet without a connection is answered by the kernel, and never counted or refused by the program.
func TestEBPFStrayPacketsAreNotCounted(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		t.Skipf("NOT TESTED: no raw socket: %v", err)
	}
	defer unix.Close(fd)
	r := newRig(t, 2, Options{Full: 1, Refuse: true})
	r.hold(0, 1, 0)
	r.hold(1, 1, 0)
	measured := r.measure(t)
	before := r.assigned(0)
	for _, flags := range []byte{0x10, 0x04, 0x12, 0x01, 0x14, 0x06, 0x18} { // ACK, RST, SYN+ACK, FIN, RST+ACK, SYN+RST, PSH+ACK
		packet := segment(40000, r.addrs[0].port, flags)
		if err := unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
	}
	// Loopback delivers before send returns.
	if runs, _ := measured(); runs == 0 {
		t.Error("the program was not run at all")
	}
	if after := r.assigned(0); !slices.Equal(before, after) {
		t.Errorf("assigned were %v, are %v", before, after)
	}
	h := r.board.Header()
	if h.Picked.Load() != 0 || h.Refused.Load() != 0 {
		t.Errorf("picked is %d, refused %d; want 0", h.Picked.Load(), h.Refused.Load())
	}
}

// segment is a TCP header from 127.0.0.1 to it.
func segment(from, to uint16, flags byte) []byte {
	b := make([]byte, 20)
	b[0], b[1], b[2], b[3] = byte(from>>8), byte(from), byte(to>>8), byte(to)
	b[12], b[13], b[14] = 5<<4, flags, 16
	sum := uint32(2*(0x7f00+0x0001) + unix.IPPROTO_TCP + len(b))
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum = ^(sum + sum>>16)
	b[16], b[17] = byte(sum>>8), byte(sum)
	return b
}

// sources are addresses that this machine can connect from.
func sources(t testing.TB, n int) (from []string) {
	for i := range n {
		from = append(from, fmt.Sprintf("127.0.%d.%d", i/200, 1+i%200))
	}
	return from
}

func TestEBPFSameClientSameSlot(t *testing.T) {
	r := newRig(t, 8, Options{Policy: ClientIP}, "127.0.0.1:0", ":0")
	where := map[string]int{}
	for _, from := range sources(t, 64) {
		where[from] = r.pickOne(t, 0, from)
	}
	if n := distinct(where); n < 7 {
		t.Errorf("64 clients are on %d of 8 slots", n)
	}
	same := func(when string, moved func(slot int) bool) {
		t.Helper()
		for from, slot := range where {
			for group := range 2 {
				if now := r.pickOne(t, group, from); now != slot && !moved(slot) {
					t.Errorf("%s: client %s went to slot %d on address %d, before to %d", when, from, now, group, slot)
				}
			}
		}
	}
	// A client of IPv4 is the same on a socket that serves both.
	same("again", func(int) bool { return false })
	if err := r.steer([]int{0, 1, 2, 4, 5, 6, 7}, nil); err != nil {
		t.Fatal(err)
	}
	same("without slot 3", func(slot int) bool { return slot == 3 })
	if err := r.steer(first(8), nil); err != nil {
		t.Fatal(err)
	}
	same("with slot 3 again", func(int) bool { return false })
}

func distinct[K comparable](m map[K]int) int {
	seen := map[int]bool{}
	for _, v := range m {
		seen[v] = true
	}
	return len(seen)
}

// What the program computes of an address is what the table is made for.
func TestEBPFHashesTheClientsAddress(t *testing.T) {
	addrs := []string{"127.0.0.1:0", ":0"}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l.Close()
		addrs = append(addrs, "[::1]:0")
	} else {
		t.Logf("NOT TESTED: no IPv6: %v", err)
	}
	r := newRig(t, 16, Options{Policy: ClientIP}, addrs...)
	tbl := bpf.Table(ClientIP, first(16), nil)
	want := func(from string) int { return int(tbl[hashAddress(netip.MustParseAddr(from))%ipc.TableSize]) }
	for _, from := range sources(t, 20) {
		for group := range 2 {
			if slot := r.pickOne(t, group, from); slot != want(from) {
				t.Errorf("client %s on %s: slot %d, want %d", from, addrs[group], slot, want(from))
			}
		}
	}
	if len(addrs) > 2 {
		for range 3 {
			if slot := r.pickOne(t, 2, ""); slot != want("::1") {
				t.Errorf("client ::1: slot %d, want %d", slot, want("::1"))
			}
		}
		_, port, _ := net.SplitHostPort(r.target(1))
		before := r.assigned(1)
		dial(t, net.JoinHostPort("::1", port), "")
		if after := r.assigned(1); after[want("::1")] != before[want("::1")]+1 {
			t.Errorf("client ::1 on an address for both: assigned were %v, are %v, want slot %d", before, after, want("::1"))
		}
	}
}

// hashAddress is the program's hashClient. The words are read in the machine's order.
func hashAddress(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return spread(uint64(*(*uint32)(unsafe.Pointer(&b))))
	}
	b := a.As16()
	words := *(*[2]uint64)(unsafe.Pointer(&b))
	high := words[0] * mixer1
	return spread(words[1] ^ high ^ high>>29)
}

// Factors of the finalizer of SplitMix64 (Steele, Lea and Flood 2014, variant 13 of Stafford).
const mixer1, mixer2 = 0xbf58476d1ce4e5b9, 0x94d049bb133111eb

func spread(n uint64) uint64 {
	n = (n ^ n>>30) * mixer1
	n = (n ^ n>>27) * mixer2
	return n ^ n>>31
}

func TestEBPFHashIsOfTheConnection(t *testing.T) {
	r := newRig(t, 8, Options{Policy: Hash})
	seen := map[string]int{}
	for _, from := range sources(t, 64) {
		seen[from] = r.pickOne(t, 0, from)
	}
	if n := distinct(seen); n < 6 {
		t.Errorf("64 connections are on %d of 8 slots", n)
	}
	// The same two ends are the same slot.
	d := net.Dialer{Timeout: eventually.Patience(), LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9), Port: 0}}
	slot := -1
	for i := range 6 {
		before := r.assigned(0)
		c, err := d.DialContext(context.Background(), "tcp", r.target(0))
		if err != nil {
			t.Fatal(err)
		}
		d.LocalAddr = c.LocalAddr()
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		for s, n := range r.assigned(0) {
			if n == before[s] {
				continue
			}
			if slot >= 0 && s != slot {
				t.Errorf("connection %d from the same port went to slot %d, before to %d", i, s, slot)
			}
			slot = s
		}
	}
}

func TestEBPFRandomIsEven(t *testing.T) {
	r := newRig(t, 3, Options{Policy: Random})
	for slot := range 3 {
		r.serve(t, 0, slot)
	}
	counts := map[int]int{}
	const n = 900
	for range n {
		counts[answer(t, r.target(0))]++
	}
	for slot := range 3 {
		if c := counts[slot]; c < n/3-85 || c > n/3+85 { // six times the standard deviation
			t.Errorf("answered %v, want about a third each", counts)
		}
	}
}

func TestEBPFSlotOfTheCPU(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	var cpus []int
	for cpu := range 1024 {
		if allowed.IsSet(cpu) && len(cpus) < 4 {
			cpus = append(cpus, cpu)
		}
	}
	// Two slots of each CPU, the last CPU's first.
	slots := 2 * len(cpus)
	cpu := func(slot int) int { return cpus[len(cpus)-1-slot/2] }
	r := newRig(t, slots, Options{Policy: CPU, CPU: cpu})
	seen := map[int]bool{}
	for _, at := range cpus {
		// Loopback handles a packet on the CPU that sends it. The thread is not given back.
		var wrong []int
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			var one unix.CPUSet
			one.Set(at)
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				before := r.assigned(0)
				if err := connectRaw(r.addrs[0].port); err != nil {
					t.Error(err)
				}
				for slot, n := range r.assigned(0) {
					if n != before[slot] {
						seen[slot] = true
						if cpu(slot) != at {
							wrong = append(wrong, slot)
						}
					}
				}
			}
		}()
		<-done
		if len(wrong) > 0 {
			t.Errorf("connections on CPU %d went to slots %v", at, wrong)
		}
	}
	if len(seen) != slots {
		t.Errorf("%d of %d slots had connections", len(seen), slots)
	}
}

// connectRaw connects and closes on the calling thread.
func connectRaw(port uint16) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	return unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)})
}

// What waits in the last socket of a slot when it is closed moves to the others, and is counted there.
func TestEBPFQueueMovesWhenASlotCloses(t *testing.T) {
	for _, policy := range []Policy{Least, ClientIP} {
		r := newRig(t, 4, Options{Policy: policy}, "127.0.0.1:0", ":0")
		if !r.migrate {
			t.Skip("NOT TESTED: the kernel does not ask for the connections of a closed socket (Linux 5.14)")
		}
		for group := range 2 {
			if err := r.steer([]int{3}, nil); err != nil {
				t.Fatal(err)
			}
			var waiting []net.Conn
			for _, from := range sources(t, 30) {
				waiting = append(waiting, dial(t, r.target(group), from))
			}
			if n := r.queue(t, group, 3); n != 30 {
				t.Fatalf("%d wait in slot 3, want 30", n)
			}
			if err := r.steer(first(3), nil); err != nil {
				t.Fatal(err)
			}
			before := r.assigned(group)
			r.leave(group, 3)
			r.sockets[group][3].Close()
			r.sockets[group] = r.sockets[group][:3]
			queues, after := r.queues(t, group), r.assigned(group)
			sum := 0
			for slot, n := range queues {
				sum += n
				if uint64(n) != after[slot]-before[slot] {
					t.Errorf("%s: %d moved to slot %d, which was assigned %d", policy, n, slot, after[slot]-before[slot])
				}
			}
			if sum != 30 {
				t.Errorf("%s: %v wait now, want 30 together", policy, queues)
			}
			if policy == Least && slices.Max(queues)-slices.Min(queues) > 1 {
				t.Errorf("they moved to %v, want the same number to each", queues)
			}
			if policy == ClientIP {
				tbl := bpf.Table(ClientIP, first(3), nil)
				want := make([]int, 3)
				for _, from := range sources(t, 30) {
					want[tbl[hashAddress(netip.MustParseAddr(from))%ipc.TableSize]]++
				}
				if !slices.Equal(queues, want) {
					t.Errorf("clients moved to %v, want %v: where they will come again", queues, want)
				}
			}
			for slot := range 3 {
				r.serve(t, group, slot)
			}
			for _, c := range waiting {
				c.SetDeadline(time.Now().Add(eventually.Patience()))
				var b [1]byte
				if _, err := c.Read(b[:]); err != nil {
					t.Errorf("%s: a connection that waited: %v", policy, err)
				}
			}
		}
	}
}

// Workers can write the memory that the program reads. Nothing that they write keeps clients out.
func TestEBPFSurvivesAnyBoard(t *testing.T) {
	for _, policy := range []Policy{Least, RoundRobin, Random, Hash, ClientIP, CPU} {
		r := newRig(t, 5, Options{Policy: policy}, "127.0.0.1:0")
		memory := unsafe.Slice((*byte)(unsafe.Pointer(r.board.Header())), ipc.BoardBytes)
		random := rand.New(rand.NewPCG(1, 2))
		for range 40 {
			for i := range memory {
				memory[i] = byte(random.Uint32())
			}
			c, err := dialFrom(r.target(0), "")
			if err != nil {
				t.Fatalf("%s: %v", policy, err)
			}
			c.Close()
		}
	}
}

// CAP_BPF is all that it takes, also for another user. Without it the error says so.
func TestEBPFNeedsOnlyCapBPF(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: needs root to give capabilities away")
	}
	needEBPF(t)
	withCapabilities := func(capabilities uint64, do func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
				t.Errorf("cannot become another user: %v", errno)
				return
			}
			data := [2]unix.CapUserData{}
			for i := range data {
				data[i].Effective = uint32(capabilities >> (32 * i))
				data[i].Permitted = data[i].Effective
			}
			if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
				t.Errorf("cannot give capabilities away: %v", err)
				return
			}
			do()
		}()
		<-done
	}
	for _, policy := range []Policy{Least, RoundRobin, Random, Hash, ClientIP, CPU} {
		withCapabilities(1<<unix.CAP_BPF, func() {
			hot, err := newHotMap()
			if err != nil {
				t.Errorf("%s: %v", policy, err)
				return
			}
			defer hot.Close()
			board, err := ipc.NewBoardOn(hot)
			if err != nil {
				t.Errorf("%s: %v", policy, err)
				return
			}
			defer board.Close()
			s, err := newEBPF(hot, board, ipc.MaxSlots, Options{Policy: policy, Refuse: true})
			if err != nil {
				t.Errorf("%s: %v", policy, err)
				return
			}
			defer s.close()
			ep := endpoint{ip: netip.MustParseAddr("127.0.0.1")}
			f, _, err := claimTCP(ep, true)
			if err != nil {
				t.Errorf("%s: %v", policy, err)
				return
			}
			defer f.Close()
			if err := s.join(0, 0, f); err != nil {
				t.Errorf("%s: %v", policy, err)
			}
			if err := s.steer([]int{0}, nil); err != nil {
				t.Errorf("%s: %v", policy, err)
			}
		})
	}
	withCapabilities(0, func() {
		_, err := newHotMap()
		if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "needs CAP_BPF") {
			t.Errorf("without capabilities: error %v, want what is missing", err)
		}
	})
}

// After close the programs go on: the next kind replaces them, or the workers outlive the master.
func TestEBPFSteersOnAfterClose(t *testing.T) {
	r := newRig(t, 4, Options{})
	if err := r.steer([]int{1, 2}, nil); err != nil {
		t.Fatal(err)
	}
	r.reuseEBPF.close()
	for range 8 {
		if slot := r.pickOne(t, 0, ""); slot != 1 && slot != 2 {
			t.Errorf("slot %d, want 1 or 2", slot)
		}
	}
	r.groups = map[int]*groupEBPF{}
	r.joined = [ipc.MaxSlots]int{}
}

func TestEBPFGivesBackItsDescriptors(t *testing.T) {
	cycle := func() {
		hot, err := newHotMap()
		if err != nil {
			t.Skipf("NOT TESTED: no ebpf here: %v", err)
		}
		board, err := ipc.NewBoardOn(hot)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newEBPF(hot, board, 2, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var sockets []*os.File
		for group := range 2 {
			ep := endpoint{ip: netip.MustParseAddr("127.0.0.1")}
			for slot := range 6 {
				var f *os.File
				if slot == 0 {
					f, ep, err = claimTCP(ep, true)
				} else {
					f, err = joinTCP(ep, func() error { return nil })
				}
				if err != nil {
					t.Fatal(err)
				}
				sockets = append(sockets, f)
				if err := s.join(group, slot, f); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.join(2, ipc.MaxSlots, sockets[0]); err == nil {
			t.Error("a slot beyond the board has joined")
		}
		s.close()
		hot.Close()
		board.Close()
		for _, f := range sockets {
			f.Close()
		}
	}
	cycle() // what is made once a process
	before := descriptors(t)
	for range 3 {
		cycle()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, before %d", after, before)
	}
}

func descriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
