package bpf

import vm "golang.org/x/net/bpf"

// headerIP is where the offsets of the IP header begin: SKF_NET_OFF of linux/filter.h. Offset 0 is the TCP payload.
const headerIP = 0xfff00000

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
	// retries bounds how often a client whose slot is not open is offered another of all slots.
	retries = 7
)

// Scratch words of a program.
const (
	cellHash = iota // moves on with each step of place and each try
	cellSlot
	cellBit
	cellSeed
)

// shift does A ^= A >> n. It uses X.
func shift(n uint32) code { return code{vm.TAX{}, op(vm.ALUOpShiftRight, n), opX(vm.ALUOpXor)} }

// fold mixes A into cellHash.
func fold() code {
	p := code{getX(cellHash), opX(vm.ALUOpXor), op(vm.ALUOpMul, 0xcc9e2d51)}
	p.add(shift(15)...)
	return append(p, put(cellHash))
}

// foldIP mixes a word of the IP header into cellHash.
func (p *code) foldIP(offset uint32) {
	p.add(vm.LoadAbsolute{Off: headerIP + offset, Size: 4})
	p.add(fold()...)
}

// hash leaves a hash of the client's address in A and in cellHash; with ports, a hash of both addresses and ports. The
// packet's own header counts: an IPv4 client has the same hash on a socket that serves IPv6 too.
func (p *code) hash(ports bool) {
	var four, six code
	four.foldIP(ip4Source)
	for at := uint32(ip6Source); at < ip6Target; at += 4 {
		six.foldIP(at)
	}
	if ports {
		four.foldIP(ip4Target)
		four.add(vm.LoadMemShift{Off: headerIP}, vm.LoadIndirect{Off: headerIP, Size: 4}) // X is the length of the header
		four.add(fold()...)
		for at := uint32(ip6Target); at < ip6L; at += 4 {
			six.foldIP(at)
		}
		// Behind an extension header, which hardly any client sends, the ports are not looked for.
		var tail code
		tail.foldIP(ip6L)
		six.add(vm.LoadAbsolute{Off: headerIP + ip6Next, Size: 1})
		six.when(protocolTCP, tail)
	}
	four.add(vm.Jump{Skip: uint32(len(six))})

	p.add(vm.LoadConstant{Dst: vm.RegA, Val: 0x9747b28c}, put(cellHash))
	p.add(vm.LoadAbsolute{Off: headerIP, Size: 1}, op(vm.ALUOpShiftRight, 4)) // the version
	p.when(4, four)
	p.add(six...)
	// The finalizer of MurmurHash3 (Appleby 2011, public domain): each bit of the input moves half of the output's.
	p.add(get(cellHash))
	p.add(shift(16)...)
	p.add(op(vm.ALUOpMul, 0x85ebca6b))
	p.add(shift(13)...)
	p.add(op(vm.ALUOpMul, 0xc2b2ae35))
	p.add(shift(16)...)
	p.add(put(cellHash))
}

// again makes another hash of the one in cellHash, in A and there.
func again() code {
	p := code{get(cellHash), op(vm.ALUOpAdd, 0x9e3779b9), op(vm.ALUOpMul, 0x85ebca6b)}
	p.add(shift(15)...)
	return append(p, put(cellHash))
}

// placed returns the slot that the hash in A is for. Each client has a row of slots, drawn from all slots, whether open or
// not, and gets the first open one. So a slot that is not open moves its own clients only, and has them back afterwards.
// The row is bounded; after it the client gets one of the open slots.
func (p *code) placed(slots int, open []int) {
	p.add(put(cellSeed))
	p.place(slots)
	if len(open) == slots {
		p.add(vm.RetA{})
		return
	}
	p.returnIfOpen(slots, open)
	p.add(get(cellSeed), op(vm.ALUOpXor, 0x27d4eb2f), put(cellHash)) // the row is independent of the steps of place
	for range retries {
		p.add(again()...)
		p.add(op(vm.ALUOpMod, uint32(slots)))
		p.returnIfOpen(slots, open)
	}
	p.add(again()...)
	p.choose(open)
}

// place turns the hash in A into a slot below slots, so that a slot that is added takes clients from all others and moves
// no more, and one that is removed gives them back. It begins with one of universe; as long as that is not below slots,
// it is drawn again among those before it. (AnchorHash, Mendelson and others 2020, reduces to this where slots are removed
// in the reverse order of their addition.)
func (p *code) place(slots int) {
	p.add(op(vm.ALUOpAnd, universe-1))
	if slots >= universe {
		return
	}
	step := code{put(cellSlot)}
	step.add(again()...)
	step.add(getX(cellSlot), opX(vm.ALUOpMod))
	rest := code{get(cellSeed), op(vm.ALUOpMod, uint32(slots))}
	for i := range placeSteps {
		// Out of the middle of the steps to behind them all.
		left := (placeSteps-i)*(len(step)+1) + len(rest)
		p.add(unless(vm.JumpGreaterOrEqual, uint32(slots), left))
		p.add(step...)
	}
	p.add(unless(vm.JumpGreaterOrEqual, uint32(slots), len(rest)))
	p.add(rest...)
}

// returnIfOpen returns the slot in A if it is one of open: a map of bits, in words of which the slot's is found first.
func (p *code) returnIfOpen(slots int, open []int) {
	words := make([]uint32, (slots+31)/32)
	for _, slot := range open {
		words[slot/32] |= 1 << (slot % 32)
	}
	p.add(put(cellSlot), op(vm.ALUOpAnd, 31), put(cellBit), get(cellSlot), op(vm.ALUOpShiftRight, 5))
	for i, word := range words {
		left := 3 * (len(words) - 1 - i)
		if left > 0 {
			p.add(unless(vm.JumpEqual, uint32(i), 2))
		}
		p.add(vm.LoadConstant{Dst: vm.RegA, Val: word})
		if left > 0 {
			p.add(vm.Jump{Skip: uint32(left - 2)})
		}
	}
	p.add(getX(cellBit), opX(vm.ALUOpShiftRight), op(vm.ALUOpAnd, 1), unless(vm.JumpEqual, 1, 2), get(cellSlot), vm.RetA{})
}
