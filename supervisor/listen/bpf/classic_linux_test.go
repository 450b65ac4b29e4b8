package bpf

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	vm "golang.org/x/net/bpf"
)

// machine is what a program knows beside the packet.
type machine struct {
	random uint32
	cpu    uint32
}

// load returns the program for the library's virtual machine. That has no offsets below the TCP header, and neither
// extension: they are replaced by what they read, one instruction by one.
func (m machine) load(t testing.TB, p code) *vm.VM {
	t.Helper()
	filter := slices.Clone(p)
	for i, in := range filter {
		switch in := in.(type) {
		case vm.LoadExtension:
			filter[i] = vm.LoadConstant{Dst: vm.RegA, Val: map[vm.Extension]uint32{vm.ExtRand: m.random, vm.ExtCPUID: m.cpu}[in.Num]}
		case vm.LoadAbsolute:
			in.Off -= headerIP
			if int(in.Off)+in.Size > packetSize {
				t.Fatalf("instruction %d, %s, reads outside of the packet", i, in)
			}
			filter[i] = in
		case vm.LoadIndirect:
			in.Off -= headerIP
			filter[i] = in
		case vm.LoadMemShift:
			in.Off -= headerIP
			filter[i] = in
		}
	}
	v, err := vm.NewVM(filter)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// run returns what the program returns for a packet that begins with its IP header.
func (m machine) run(t testing.TB, p code, packet []byte) int {
	t.Helper()
	return run(t, m.load(t, p), packet)
}

func run(t testing.TB, v *vm.VM, packet []byte) int {
	t.Helper()
	slot, err := v.Run(packet)
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

// longest is the number of instructions on the longest path through a program, which only jumps forward.
func (p code) longest() int {
	from := make([]int, len(p)+1)
	for i := len(p) - 1; i >= 0; i-- {
		switch in := p[i].(type) {
		case vm.RetA, vm.RetConstant:
			from[i] = 1
		case vm.Jump:
			from[i] = 1 + from[i+1+int(in.Skip)]
		case vm.JumpIf:
			from[i] = 1 + max(from[i+1+int(in.SkipTrue)], from[i+1+int(in.SkipFalse)])
		default:
			from[i] = 1 + from[i+1]
		}
	}
	return from[0]
}

// packetSize is what a test's packet has at least.
const packetSize = 60

// from is the start of a packet from a client.
func from(client netip.Addr, port uint16) []byte {
	p := make([]byte, packetSize)
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

// first are the slots below n.
func first(n int) (slots []int) {
	for slot := range n {
		slots = append(slots, slot)
	}
	return slots
}

func mustProgram(t testing.TB, c Choice) code {
	t.Helper()
	if _, err := c.Classic(); err != nil {
		t.Fatal(err)
	}
	p, _ := c.program()
	return p
}

// places runs a program for each packet.
func places(t testing.TB, p code, packets [][]byte) []int {
	t.Helper()
	v := machine{}.load(t, p)
	var slots []int
	for _, packet := range packets {
		slots = append(slots, run(t, v, packet))
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
				p := mustProgram(t, Choice{Policy: policy, Slots: c.slots, Open: open})
				wantEven(t, fmt.Sprintf("%s, IPv6 %v, %d slots without %v", policy, six, c.slots, c.out), places(t, p, packets), open)
			}
		}
	}
	var random [][]byte
	for range clients {
		random = append(random, nil)
	}
	for _, open := range [][]int{first(5), {0, 2, 3, 4, 9}, {7}, {1, 3}} {
		p := mustProgram(t, Choice{Policy: Random, Slots: 10, Open: open})
		r := rand.New(rand.NewPCG(1, 2))
		var slots []int
		for range random {
			slot := machine{random: r.Uint32()}.run(t, p, nil)
			slots = append(slots, slot)
		}
		wantEven(t, fmt.Sprint("random among ", open), slots, open)
	}
}

// A slot that is out moves its own clients, each to where it would be with other slots out as well; a slot that is added
// moves clients only to itself.
func TestClassicMoveOnlyTheirOwn(t *testing.T) {
	packets := someClients(6000, false)
	of := func(slots int, open []int) code {
		return mustProgram(t, Choice{Policy: ClientIP, Slots: slots, Open: open})
	}
	for _, n := range []int{2, 4, 7, 33, 64} {
		all := places(t, of(n, first(n)), packets)
		for _, out := range []int{0, n / 2, n - 1} {
			now := places(t, of(n, without(first(n), out)), packets)
			for i := range packets {
				if all[i] != out && now[i] != all[i] || all[i] == out && now[i] == out {
					t.Fatalf("%d slots without %d: a client went from %d to %d", n, out, all[i], now[i])
				}
			}
			second := (out + 1) % n
			if n < 4 {
				continue
			}
			both := places(t, of(n, without(first(n), out, second)), packets)
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
		added := places(t, of(n+1, first(n+1)), packets)
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
	p := mustProgram(t, Choice{Policy: Least, Slots: 9, Open: open, Weights: weights})
	r := rand.New(rand.NewPCG(1, 2))
	counts := map[int]int{}
	const n = 100000
	for range n {
		slot := machine{random: r.Uint32()}.run(t, p, nil)
		counts[slot]++
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
		got, want := Choice{Policy: Least, Slots: 9, Open: open, Weights: w}, Choice{Policy: Random, Slots: 9, Open: open}
		if !slices.Equal(mustProgram(t, got), mustProgram(t, want)) {
			t.Errorf("weights %v are not the same as none", w)
		}
	}
}

func TestClassicOfCPUs(t *testing.T) {
	cpus := []int{0, 1, 0, -1, 3}
	of := func(open ...int) code {
		return mustProgram(t, Choice{Policy: CPU, Slots: 5, Open: open, CPU: func(slot int) int { return cpus[slot] }})
	}
	p := of(first(5)...)
	hit := func(p code, cpu uint32) map[int]bool {
		slots := map[int]bool{}
		for random := range uint32(20) {
			slot := machine{cpu: cpu, random: random}.run(t, p, nil)
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
	if got := hit(of(0, 2, 4), 1); len(got) != 1 || !got[2] {
		t.Errorf("CPU 1, whose slot is out, goes to %v", got)
	}
}

// The kernel takes 4,096 instructions, as Classic has checked. A connection runs through fewer where the policy does not
// have to look for the slot.
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
	for _, policy := range Policies {
		for _, n := range []int{1, 4, 64, 256, universe} {
			for name, open := range map[string][]int{"all": first(n), "all but one": without(first(n), n/2), "every second": every(n, 2)} {
				if len(open) == 0 {
					continue
				}
				p := mustProgram(t, Choice{Policy: policy, Slots: n, Open: open, Weights: weights[:len(open)], CPU: func(slot int) int { return slot }})
				// By chance one of n is found by comparing with half of them at the most; a hash has a bounded row.
				limit := n + 10
				if policy == Hash || policy == ClientIP {
					limit = 700 + n
				}
				if longest := p.longest(); longest > limit {
					t.Errorf("%s, %d slots, %s: a connection may run through %d of %d instructions, want at most %d", policy, n, name, longest, len(p), limit)
				}
			}
		}
	}
}

func FuzzClassic(f *testing.F) {
	f.Add(uint16(4), uint64(5), uint8(0), []byte{0x45})
	f.Add(uint16(64), uint64(5), uint8(3), []byte{0x6f})
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
		c := Choice{Policy: Policies[int(policy)%len(Policies)], Slots: slots, Open: open, Weights: weights, CPU: func(slot int) int { return slot*7%32 - 1 }}
		p := mustProgram(t, c)
		full := make([]byte, 200)
		copy(full, packet)
		got := machine{random: r.Uint32(), cpu: r.Uint32() % 40}.run(t, p, full)
		if !slices.Contains(open, got) {
			t.Errorf("%s picks slot %d, which is not open", c.Policy, got)
		}
	})
}
