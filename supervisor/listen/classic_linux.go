package listen

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// maxProgram is the longest classic program that the kernel takes: BPF_MAXINSNS of linux/bpf_common.h.
const maxProgram = 4096

// Where a program finds what is not in the packet's payload, at which its own offsets begin: SKF_AD_OFF + SKF_AD_RANDOM,
// SKF_AD_OFF + SKF_AD_CPU and SKF_NET_OFF of linux/filter.h.
const (
	loadRandom = 0xfffff000 + 56
	loadCPU    = 0xfffff000 + 36
	loadIP     = 0xfff00000
)

// Offsets in the headers: RFC 791 section 3.1, RFC 8200 section 3.
const (
	ip4Source, ip4Target                = 12, 16
	ip6Next, ip6Source, ip6Target, ip6L = 6, 8, 24, 40
)

const protocolTCP = 6

// universe is the number of slots that the first choice by a hash begins with, so that slots can be added: see place.
const universe = 1024

const (
	// placeSteps bounds the steps from universe to the slots that there are. The mean is ln(universe/slots) + 0.6, which
	// is 7.5 for one slot; one client in a thousand that needs more is placed by the remainder.
	placeSteps = 16
	// retries bounds how often a client whose slot is out is offered another of all slots.
	retries = 7
)

// Scratch words of a program.
const (
	cellHash = iota // moves on with each step of place and each try
	cellSlot
	cellBit
	cellSeed
)

type classic []unix.SockFilter

func (p *classic) add(code uint16, k uint32) { *p = append(*p, unix.SockFilter{Code: code, K: k}) }

func (p *classic) load(offset uint32)     { p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset) }
func (p *classic) loadByte(offset uint32) { p.add(unix.BPF_LD|unix.BPF_B|unix.BPF_ABS, offset) }
func (p *classic) get(cell uint32)        { p.add(unix.BPF_LD|unix.BPF_MEM, cell) }
func (p *classic) getX(cell uint32)       { p.add(unix.BPF_LDX|unix.BPF_MEM, cell) }
func (p *classic) put(cell uint32)        { p.add(unix.BPF_ST, cell) }
func (p *classic) op(op uint16, k uint32) { p.add(unix.BPF_ALU|op|unix.BPF_K, k) }
func (p *classic) opX(op uint16)          { p.add(unix.BPF_ALU|op|unix.BPF_X, 0) }
func (p *classic) ret(slot int)           { p.add(unix.BPF_RET|unix.BPF_K, uint32(slot)) }
func (p *classic) retA()                  { p.add(unix.BPF_RET|unix.BPF_A, 0) }

// skipIf skips the next n instructions, at most 255, if A compares with k.
func (p *classic) skipIf(compare uint16, k uint32, n int) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | compare | unix.BPF_K, K: k, Jt: uint8(n)})
}

// skipUnless skips them if it does not.
func (p *classic) skipUnless(compare uint16, k uint32, n int) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | compare | unix.BPF_K, K: k, Jf: uint8(n)})
}

// when runs block if A is k.
func (p *classic) when(k uint32, block classic) {
	if len(block) <= 255 {
		p.skipUnless(unix.BPF_JEQ, k, len(block))
	} else {
		p.skipIf(unix.BPF_JEQ, k, 1)
		p.add(unix.BPF_JMP|unix.BPF_JA, uint32(len(block)))
	}
	*p = append(*p, block...)
}

// shift does A ^= A >> n.
func (p *classic) shift(n uint32) {
	p.add(unix.BPF_MISC|unix.BPF_TAX, 0)
	p.op(unix.BPF_RSH, n)
	p.opX(unix.BPF_XOR)
}

// classic is the program that picks a slot for each new connection by the policy, among open, which is ascending and
// not empty. slots is the number of those that listen. weights are used by Least only.
func (o Options) classic(slots int, open []int, weights []uint8) (classic, error) {
	var p classic
	switch o.Policy {
	case Hash:
		p.hash(true)
		p.placed(slots, open)
	case ClientIP:
		p.hash(false)
		p.placed(slots, open)
	case CPU:
		p.byCPU(open, o.CPU)
	case Least:
		p.random(open, weights)
	default:
		p.random(open, nil)
	}
	if len(p) > maxProgram {
		return nil, fmt.Errorf("cannot steer by %s to %d of %d slots: the program has %d instructions, one may have %d",
			o.Policy, len(open), slots, len(p), maxProgram)
	}
	return p, nil
}

// classicBy is classic for a group whose sockets the kernel numbers otherwise: numbers are the slots by their number, nil
// where the two are the same. A slot that is not among them has no socket that listens. Where the numbers are others, a hash
// picks among the open ones alone: who is out moves other clients too.
func (o Options) classicBy(numbers []int, slots int, open []int, weights []uint8) (p classic, err error) {
	if numbers == nil {
		return o.classic(slots, open, weights)
	}
	var at []int
	var weigh []uint8
	for i, slot := range open {
		n := slices.Index(numbers, slot)
		if n < 0 {
			continue
		}
		at = append(at, n)
		if i < len(weights) {
			weigh = append(weigh, weights[i])
		}
	}
	if len(at) == 0 { // somebody may come who serves
		at, weigh = first(max(len(numbers), 1)), nil
	}
	switch o.Policy {
	case Hash, ClientIP:
		p.hash(o.Policy == Hash)
		p.choose(at)
	case CPU:
		p.byCPU(at, func(n int) int {
			if o.CPU == nil || n >= len(numbers) {
				return -1
			}
			return o.CPU(numbers[n])
		})
	case Least:
		p.random(at, weigh)
	default:
		p.random(at, nil)
	}
	if len(p) > maxProgram {
		return nil, fmt.Errorf("cannot steer by %s to %d of %d slots: the program has %d instructions, one may have %d",
			o.Policy, len(at), slots, len(p), maxProgram)
	}
	return p, nil
}

// random picks one of open.
func (p *classic) random(open []int, weights []uint8) {
	p.load(loadRandom)
	total := 0
	for _, w := range weights {
		total += int(w)
	}
	if len(weights) != len(open) || total == 0 || slices.Min(weights) == slices.Max(weights) {
		p.choose(open)
		return
	}
	p.op(unix.BPF_MOD, uint32(total))
	sum := 0
	for i, slot := range open {
		if weights[i] == 0 {
			continue
		}
		sum += int(weights[i])
		if sum == total {
			p.ret(slot)
			break
		}
		p.skipIf(unix.BPF_JGE, uint32(sum), 1)
		p.ret(slot)
	}
}

// choose returns one of open by A. Slots that follow one another need three instructions together.
func (p *classic) choose(open []int) {
	p.op(unix.BPF_MOD, uint32(len(open)))
	for at := 0; at < len(open); {
		end := at + 1
		for end < len(open) && open[end] == open[end-1]+1 {
			end++
		}
		var shift classic
		if by := open[at] - at; by != 0 {
			shift.op(unix.BPF_ADD, uint32(by))
		}
		shift.retA()
		if end < len(open) {
			p.skipIf(unix.BPF_JGE, uint32(end), len(shift))
		}
		*p = append(*p, shift...)
		at = end
	}
}

// hash leaves a hash of the client's address in A and in cellHash, with ports also of the rest that tells one connection
// from another. The packet's own header counts: an IPv4 client has the same hash on a socket that takes both.
func (p *classic) hash(ports bool) {
	var four, six classic
	four.mix(loadIP + ip4Source)
	for at := uint32(ip6Source); at < ip6Target; at += 4 {
		six.mix(loadIP + at)
	}
	if ports {
		four.mix(loadIP + ip4Target)
		four.add(unix.BPF_LDX|unix.BPF_B|unix.BPF_MSH, loadIP) // the length of the header
		four.add(unix.BPF_LD|unix.BPF_W|unix.BPF_IND, loadIP)
		four.mixA()
		for at := uint32(ip6Target); at < ip6L; at += 4 {
			six.mix(loadIP + at)
		}
		// Behind an extension header, which hardly any client sends, the ports are not looked for.
		var tail classic
		tail.mix(loadIP + ip6L)
		six.loadByte(loadIP + ip6Next)
		six.when(protocolTCP, tail)
	}
	four.add(unix.BPF_JMP|unix.BPF_JA, uint32(len(six)))

	p.add(unix.BPF_LD|unix.BPF_IMM, 0x9747b28c)
	p.put(cellHash)
	p.loadByte(loadIP)
	p.op(unix.BPF_RSH, 4)
	p.when(4, four)
	*p = append(*p, six...)
	// The finalizer of MurmurHash3 (Appleby 2011, public domain): each bit of the input moves half of the output's.
	p.get(cellHash)
	p.shift(16)
	p.op(unix.BPF_MUL, 0x85ebca6b)
	p.shift(13)
	p.op(unix.BPF_MUL, 0xc2b2ae35)
	p.shift(16)
	p.put(cellHash)
}

func (p *classic) mix(offset uint32) {
	p.load(offset)
	p.mixA()
}

func (p *classic) mixA() {
	p.getX(cellHash)
	p.opX(unix.BPF_XOR)
	p.op(unix.BPF_MUL, 0xcc9e2d51)
	p.shift(15)
	p.put(cellHash)
}

// again makes another hash of the one in cellHash.
func (p *classic) again() {
	p.get(cellHash)
	p.op(unix.BPF_ADD, 0x9e3779b9)
	p.op(unix.BPF_MUL, 0x85ebca6b)
	p.shift(15)
	p.put(cellHash)
}

// placed returns the slot that the hash in A is for. Each client has a row of slots, drawn from all that listen, whether
// open or not, and gets the first open one: so a slot that is out moves its own clients only, and has them back
// afterwards. The row is bounded; after it one of the open is taken.
func (p *classic) placed(slots int, open []int) {
	p.put(cellSeed)
	p.place(slots)
	if len(open) == slots {
		p.retA()
		return
	}
	p.returnIfOpen(slots, open)
	p.get(cellSeed)
	p.op(unix.BPF_XOR, 0x27d4eb2f) // so that the row has nothing to do with the steps of place
	p.put(cellHash)
	for range retries {
		p.again()
		p.op(unix.BPF_MOD, uint32(slots))
		p.returnIfOpen(slots, open)
	}
	p.again()
	p.choose(open)
}

// place turns the hash in A into a slot below slots, so that a slot that is added takes clients from all others and moves
// no more, and one that is removed gives them back. It begins with one of universe; as long as that is not below slots,
// it is drawn again among those before it. (What AnchorHash, by Mendelson and others 2020, comes to where slots go in the
// reverse order in which they came.)
func (p *classic) place(slots int) {
	p.op(unix.BPF_AND, universe-1)
	if slots >= universe {
		return
	}
	var step classic
	step.put(cellSlot)
	step.again()
	step.getX(cellSlot)
	step.opX(unix.BPF_MOD)
	var rest classic
	rest.get(cellSeed)
	rest.op(unix.BPF_MOD, uint32(slots))
	for i := range placeSteps {
		// Out of the middle of the steps to behind them all.
		left := (placeSteps-i)*(len(step)+1) - 1 + 1 + len(rest)
		p.skipUnless(unix.BPF_JGE, uint32(slots), left)
		*p = append(*p, step...)
	}
	p.skipUnless(unix.BPF_JGE, uint32(slots), len(rest))
	*p = append(*p, rest...)
}

// returnIfOpen returns the slot in A if it is one of open: a map of bits, in words of which the slot's is found first.
func (p *classic) returnIfOpen(slots int, open []int) {
	words := make([]uint32, (slots+31)/32)
	for _, slot := range open {
		words[slot/32] |= 1 << (slot % 32)
	}
	p.put(cellSlot)
	p.op(unix.BPF_AND, 31)
	p.put(cellBit)
	p.get(cellSlot)
	p.op(unix.BPF_RSH, 5)
	for i, word := range words {
		left := 3 * (len(words) - 1 - i)
		if left > 0 {
			p.skipUnless(unix.BPF_JEQ, uint32(i), 2)
		}
		p.add(unix.BPF_LD|unix.BPF_IMM, word)
		if left > 0 {
			p.add(unix.BPF_JMP|unix.BPF_JA, uint32(left-2))
		}
	}
	p.getX(cellBit)
	p.opX(unix.BPF_RSH)
	p.op(unix.BPF_AND, 1)
	p.skipUnless(unix.BPF_JEQ, 1, 2)
	p.get(cellSlot)
	p.retA()
}

// byCPU returns an open slot of the CPU that handles the packet; for a CPU without one, one of all open by its number.
func (p *classic) byCPU(open []int, of func(slot int) int) {
	slots := map[int][]int{}
	if of != nil {
		for _, slot := range open {
			if cpu := of(slot); cpu >= 0 {
				slots[cpu] = append(slots[cpu], slot)
			}
		}
	}
	cpus := make([]int, 0, len(slots))
	for cpu := range slots {
		cpus = append(cpus, cpu)
	}
	slices.Sort(cpus)
	p.load(loadCPU)
	for _, cpu := range cpus {
		var block classic
		if len(slots[cpu]) == 1 {
			block.ret(slots[cpu][0])
		} else {
			block.random(slots[cpu], nil)
		}
		p.when(uint32(cpu), block)
	}
	p.choose(open)
}
