package listen

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// machine runs classic programs as the kernel does, on a packet of which it knows the IP header and what follows.
type machine struct {
	packet []byte
	random uint32
	cpu    uint32
}

// run returns what the program returns, and how many instructions that took.
func (m machine) run(t testing.TB, p classic) (result uint32, steps int) {
	t.Helper()
	var a, x uint32
	var cells [16]uint32
	load := func(offset uint32, size uint32) uint32 {
		switch {
		case offset == loadRandom:
			return m.random
		case offset == loadCPU:
			return m.cpu
		case offset < loadIP || offset-loadIP+size > uint32(len(m.packet)):
			t.Fatalf("a load at %#x of %d bytes is outside of the packet", offset, size)
		}
		at := m.packet[offset-loadIP:]
		if size == 1 {
			return uint32(at[0])
		}
		return binary.BigEndian.Uint32(at)
	}
	for pc := 0; ; pc++ {
		if pc >= len(p) {
			t.Fatalf("ran past the end, %d instructions", len(p))
		}
		steps++
		i := p[pc]
		k := i.K
		if i.Code&unix.BPF_X != 0 && (i.Code&7 == unix.BPF_ALU || i.Code&7 == unix.BPF_JMP) {
			k = x
		}
		jump := func(holds bool) {
			if holds {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		}
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = load(i.K, 4)
		case unix.BPF_LD | unix.BPF_B | unix.BPF_ABS:
			a = load(i.K, 1)
		case unix.BPF_LD | unix.BPF_W | unix.BPF_IND:
			a = load(x+i.K, 4)
		case unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH:
			x = load(i.K, 1) & 15 * 4
		case unix.BPF_LD | unix.BPF_IMM:
			a = i.K
		case unix.BPF_LD | unix.BPF_MEM:
			a = cells[i.K]
		case unix.BPF_LDX | unix.BPF_MEM:
			x = cells[i.K]
		case unix.BPF_ST:
			cells[i.K] = a
		case unix.BPF_MISC | unix.BPF_TAX:
			x = a
		case unix.BPF_RET | unix.BPF_K:
			return i.K, steps
		case unix.BPF_RET | unix.BPF_A:
			return a, steps
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(i.K)
		case unix.BPF_JMP | unix.BPF_JEQ:
			jump(a == k)
		case unix.BPF_JMP | unix.BPF_JGE:
			jump(a >= k)
		default:
			switch i.Code &^ unix.BPF_X {
			case unix.BPF_ALU | unix.BPF_ADD:
				a += k
			case unix.BPF_ALU | unix.BPF_MUL:
				a *= k
			case unix.BPF_ALU | unix.BPF_XOR:
				a ^= k
			case unix.BPF_ALU | unix.BPF_AND:
				a &= k
			case unix.BPF_ALU | unix.BPF_RSH:
				a >>= k
			case unix.BPF_ALU | unix.BPF_MOD:
				if k == 0 {
					t.Fatal("a remainder of a division by 0")
				}
				a %= k
			default:
				t.Fatalf("instruction %#x is not known here", i.Code)
			}
		}
	}
}

// from is the start of a packet from a client.
func from(client netip.Addr, port uint16) []byte {
	p := make([]byte, 60)
	if client.Is4() {
		p[0] = 0x45
		copy(p[ip4Source:], client.AsSlice())
		copy(p[ip4Target:], []byte{127, 0, 0, 1})
		binary.BigEndian.PutUint16(p[20:], port)
	} else {
		p[0], p[ip6Next] = 0x60, protocolTCP
		copy(p[ip6Source:], client.AsSlice())
		binary.BigEndian.PutUint16(p[40:], port)
	}
	return p
}

// someClients are addresses that follow one another, as those of a network do: the hard case for a hash.
func someClients(n int, six bool) (packets [][]byte) {
	ip := netip.MustParseAddr("10.1.0.0")
	if six {
		ip = netip.MustParseAddr("2001:db8:1::")
	}
	for range n {
		packets = append(packets, from(ip, 1000))
		ip = ip.Next()
	}
	return packets
}

func mustProgram(t testing.TB, o Options, slots int, open []int, weights []uint8) classic {
	t.Helper()
	p, err := o.classic(slots, open, weights)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// places runs a program for each packet.
func places(t testing.TB, p classic, packets [][]byte) []int {
	t.Helper()
	var slots []int
	for _, packet := range packets {
		slot, _ := machine{packet: packet}.run(t, p)
		slots = append(slots, int(slot))
	}
	return slots
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

func TestClassicSpreadEvenly(t *testing.T) {
	const clients = 12000
	for _, six := range []bool{false, true} {
		packets := someClients(clients, six)
		for _, policy := range []Policy{ClientIP, Hash} {
			for _, c := range []struct {
				slots int
				out   []int
			}{{1, nil}, {2, nil}, {3, nil}, {4, nil}, {8, nil}, {64, nil}, {1000, nil}, {1024, nil}, {4, []int{1}}, {8, []int{0, 3, 7}}, {8, []int{0, 1, 2, 3, 4, 5}}, {40, []int{33}}} {
				open := without(first(c.slots), c.out...)
				p := mustProgram(t, Options{Policy: policy}, c.slots, open, nil)
				wantEven(t, fmt.Sprintf("%s, IPv6 %v, %d slots without %v", policy, six, c.slots, c.out), places(t, p, packets), open)
			}
		}
	}
	var random [][]byte
	for range clients {
		random = append(random, nil)
	}
	for _, open := range [][]int{first(5), {0, 2, 3, 4, 9}, {7}, {1, 3}} {
		p := mustProgram(t, Options{Policy: Random}, 10, open, nil)
		r := rand.New(rand.NewPCG(1, 2))
		var slots []int
		for range random {
			slot, _ := machine{random: r.Uint32()}.run(t, p)
			slots = append(slots, int(slot))
		}
		wantEven(t, fmt.Sprint("random among ", open), slots, open)
	}
}

// A slot that is out moves its own clients, each to where it would be with other slots out as well; a slot that is added
// moves clients only to itself.
func TestClassicMoveOnlyTheirOwn(t *testing.T) {
	packets := someClients(6000, false)
	o := Options{Policy: ClientIP}
	for _, n := range []int{2, 4, 7, 33, 64} {
		all := places(t, mustProgram(t, o, n, first(n), nil), packets)
		for _, out := range []int{0, n / 2, n - 1} {
			now := places(t, mustProgram(t, o, n, without(first(n), out), nil), packets)
			for i := range packets {
				if all[i] != out && now[i] != all[i] || all[i] == out && now[i] == out {
					t.Fatalf("%d slots without %d: a client went from %d to %d", n, out, all[i], now[i])
				}
			}
			second := (out + 1) % n
			if n < 4 {
				continue
			}
			both := places(t, mustProgram(t, o, n, without(first(n), out, second), nil), packets)
			moved := 0
			for i := range packets {
				if now[i] != second && both[i] != now[i] {
					moved++
				}
			}
			// Only those whose row of slots was too short.
			if moved > len(packets)/500 {
				t.Errorf("%d slots: %d of %d clients moved though their slot stayed", n, moved, len(packets))
			}
		}
		added := places(t, mustProgram(t, o, n+1, first(n+1), nil), packets)
		moved, wrong := 0, 0
		for i := range packets {
			if added[i] != all[i] {
				moved++
				if added[i] != n {
					wrong++
				}
			}
		}
		// place bounds its steps.
		if wrong > len(packets)/300 {
			t.Errorf("%d slots and one more: %d of %d clients moved between the old ones", n, wrong, len(packets))
		}
		if limit := len(packets)/(n+1)*3/2 + 100; moved > limit {
			t.Errorf("%d slots and one more: %d of %d clients moved, want at most %d", n, moved, len(packets), limit)
		}
	}
}

func TestClassicOfWeights(t *testing.T) {
	open, weights := []int{1, 2, 5, 6, 8}, []uint8{1, 0, 2, 3, 4}
	p := mustProgram(t, Options{Policy: Least}, 9, open, weights)
	r := rand.New(rand.NewPCG(1, 2))
	counts := map[int]int{}
	const n = 100000
	for range n {
		slot, _ := machine{random: r.Uint32()}.run(t, p)
		counts[int(slot)]++
	}
	for i, slot := range open {
		want := float64(weights[i]) / 10 * n
		if d := math.Abs(float64(counts[slot]) - want); d > n/100 || weights[i] == 0 && d > 0 {
			t.Errorf("slot %d of weight %d has %d, want about %.0f", slot, weights[i], counts[slot], want)
		}
	}
	if len(counts) != 4 {
		t.Errorf("slots %v were picked", counts)
	}
	for _, w := range [][]uint8{nil, {0, 0, 0, 0, 0}, {7, 7, 7, 7, 7}, {1}} {
		if got := mustProgram(t, Options{Policy: Least}, 9, open, w); !slices.Equal(got, mustProgram(t, Options{Policy: Random}, 9, open, nil)) {
			t.Errorf("weights %v are not the same as none", w)
		}
	}
}

func TestClassicOfCPUs(t *testing.T) {
	cpus := []int{0, 1, 0, -1, 3}
	o := Options{Policy: CPU, CPU: func(slot int) int { return cpus[slot] }}
	p := mustProgram(t, o, 5, first(5), nil)
	hit := func(p classic, cpu uint32) map[uint32]bool {
		slots := map[uint32]bool{}
		for random := range uint32(20) {
			slot, _ := machine{cpu: cpu, random: random}.run(t, p)
			slots[slot] = true
		}
		return slots
	}
	if got := hit(p, 0); len(got) != 2 || !got[0] || !got[2] {
		t.Errorf("CPU 0 goes to %v, want slots 0 and 2", got)
	}
	if got := hit(p, 1); len(got) != 1 || !got[1] {
		t.Errorf("CPU 1 goes to %v, want slot 1", got)
	}
	if got := hit(p, 7); len(got) != 1 || !got[2] {
		t.Errorf("CPU 7 goes to %v, want the one that its number gives", got)
	}
	if got := hit(mustProgram(t, o, 5, []int{0, 2, 4}, nil), 1); len(got) != 1 || !got[2] {
		t.Errorf("CPU 1, whose slot is out, goes to %v", got)
	}
}

// The kernel takes 4,096 instructions; a connection runs through much less.
func TestClassicAreShort(t *testing.T) {
	every := func(n, step int) (slots []int) {
		for i := 0; i < n; i += step {
			slots = append(slots, i)
		}
		return slots
	}
	weights := make([]uint8, universe)
	for i := range weights {
		weights[i] = uint8(i)
	}
	for _, policy := range []Policy{Least, RoundRobin, Random, Hash, ClientIP, CPU} {
		for _, n := range []int{1, 4, 64, 256, universe} {
			for name, open := range map[string][]int{"all": first(n), "all but one": without(first(n), n/2), "every second": every(n, 2)} {
				if len(open) == 0 {
					continue
				}
				o := Options{Policy: policy, CPU: func(slot int) int { return slot }}
				p := mustProgram(t, o, n, open, weights[:len(open)])
				longest := 0
				for i, packet := range someClients(200, true) {
					_, steps := machine{packet: packet, random: uint32(i) * 0x9e3779b9, cpu: uint32(i * n / 200)}.run(t, p)
					longest = max(longest, steps)
				}
				if n == universe || n == 4 {
					t.Logf("%-11s %4d slots, %-12s: %4d instructions, at most %4d run", policy, n, name, len(p), longest)
				}
			}
		}
	}
}

func FuzzClassic(f *testing.F) {
	f.Add(uint16(4), uint64(5), uint8(0), []byte{0x45})
	f.Add(uint16(64), uint64(5), uint8(3), []byte{0x6f})
	policies := []Policy{Least, Random, Hash, ClientIP, CPU}
	f.Fuzz(func(t *testing.T, n uint16, seed uint64, policy uint8, packet []byte) {
		slots := int(n)%universe + 1
		r := rand.New(rand.NewPCG(seed, 0))
		var open []int
		var weights []uint8
		density := r.Float64()
		for slot := range slots {
			if r.Float64() < density || slot == slots-1 && len(open) == 0 {
				open, weights = append(open, slot), append(weights, uint8(r.Uint32()))
			}
		}
		o := Options{Policy: policies[int(policy)%len(policies)], CPU: func(slot int) int { return slot*7%32 - 1 }}
		p := mustProgram(t, o, slots, open, weights)
		full := make([]byte, 200)
		copy(full, packet)
		got, _ := machine{packet: full, random: r.Uint32(), cpu: r.Uint32() % 40}.run(t, p)
		if !slices.Contains(open, int(got)) {
			t.Errorf("%s picks slot %d, which is not open", o.Policy, got)
		}
	})
}
