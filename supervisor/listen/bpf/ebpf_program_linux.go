package bpf

import (
	"unsafe"

	"github.com/cilium/ebpf/asm"

	"github.com/tinehq/tine/ipc"
)

// Reuse is the eBPF program of one group of sockets. It picks a slot for a packet that belongs to no connection yet: a SYN as
// a rule. It has no loop, because the verifier needs too long for a loop with branches, and the helper for loops needs
// CAP_PERFMON on top of CAP_BPF. It reads the lines of all slots, one after the other, and keeps the least key without a branch:
//
//	bit 62     closed: only if all are
//	bit 61     stale: a connection waits for accept, and none was accepted for StaleAfter
//	bit 60     full, of policies that do not go by load
//	bits 10..  load, negative is 0; of policies that do not go by load 0
//	bits 0..9  rank: how far behind the slot picked last, so that equals take turns
//
// The lines are read in blocks by one function that is called for each block: the code stays small enough for the
// processor's caches, while the verifier follows each call. Whether a slot is stale costs three more loads, so the program
// asks it of the winner only; if the winner is stale, another function compares all slots again with that bit.
//
// All values come from memory that workers can write. The program masks each index before it uses it, so the worst is a
// bad choice.
type Reuse struct {
	Policy  Policy
	Class   int  // slots that it looks at: see Class
	Refuse  bool // refuse a connection if the slot is full
	Migrate bool // the kernel asks also for connections of a socket that is closed
	Hot     int  // descriptor of the map that is the board's hot memory
	Sockets int  // descriptor of the map of sockets by slot
}

const (
	closedBit = 62
	staleBit  = 61
	fullBit   = 60
	rankBits  = 10
	busyBits  = 20 // a load of ipc.Busy is one busy connection
	lineBits  = 6

	smallestClass = 4
	blockSize     = 16 // lines that one call reads
)

// class is the number of slots that a program for the given number of slots looks at.
func Class(slots int) int {
	c := smallestClass
	for c < slots {
		c *= 2
	}
	return c
}

// Offsets in the hot memory.
const (
	atPicked     = int16(unsafe.Offsetof(ipc.Header{}.Picked))
	atRefused    = int16(unsafe.Offsetof(ipc.Header{}.Refused))
	atLast       = int16(unsafe.Offsetof(ipc.Header{}.Last))
	atFull       = int16(unsafe.Offsetof(ipc.Header{}.Full))
	atStaleAfter = int16(unsafe.Offsetof(ipc.Header{}.StaleAfter))

	inAssigned   = int16(unsafe.Offsetof(ipc.Line{}.Assigned))
	inAccepted   = int16(unsafe.Offsetof(ipc.Line{}.Accepted))
	inReleased   = int16(unsafe.Offsetof(ipc.Line{}.Released))
	inAcceptedAt = int16(unsafe.Offsetof(ipc.Line{}.AcceptedAt))
	inFlags      = int16(unsafe.Offsetof(ipc.Line{}.Flags))
)

// Offsets in struct sk_reuseport_md of linux/bpf.h. data begins at the TCP header.
const (
	mdData        = 0
	mdDataEnd     = 8
	mdEthProtocol = 20
	mdHash        = 32
	mdMigrating   = 48
)

// Offsets in struct bpf_sock of linux/bpf.h.
const (
	sockFamily = 4
	sockDstIP4 = 52
	sockDstIP6 = 56
)

// Places on the program's stack.
const (
	onStackSlot = -4  // 32 bits
	onStackNow  = -16 // 64 bits
	onStackAddr = -32 // 16 bytes
)

const (
	skDrop = 0
	skPass = 1

	headerStartNet = 1 // BPF_HDR_START_NET
)

// Assemble returns the program. Registers: R6 the context, R7 the hot memory, R8 the time of accept before which a slot is
// stale, R9
// first the slot after the one picked last, then the slot that is picked.
func (p Reuse) Assemble() asm.Instructions {
	insns := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("steer"),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.RFP, onStackNow, asm.R0, asm.DWord),
		asm.LoadMapValue(asm.R7, p.Hot, 0),
		// R8 = now - StaleAfter; 0 if StaleAfter is 0.
		asm.LoadMem(asm.R1, asm.R7, atStaleAfter, asm.DWord),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.Sub.Reg(asm.R8, asm.R1),
		asm.Neg.Imm(asm.R1, 0),
		asm.ArSh.Imm(asm.R1, 63),
		asm.And.Reg(asm.R8, asm.R1),
	}
	insns = append(insns, p.lookUp()...)
	insns = append(insns, p.search()...)
	insns = append(insns, p.pick()...)
	insns = append(insns, p.block("least", false)...)
	return append(insns, p.block("fresh", true)...)
}

// byLoad reports whether the search goes by load. It does so for each policy but round-robin: policies that look into the
// table search when the slot there is not to be picked.
func (p Reuse) byLoad() bool { return p.Policy != RoundRobin }
