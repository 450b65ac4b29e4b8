package listen

import (
	"unsafe"

	"github.com/cilium/ebpf/asm"

	"github.com/tinehq/tine/ipc"
)

// The program picks a slot for a packet that no connection knows: a SYN as a rule. It has no loop, because a loop with
// branches is too much for the verifier, and one without needs CAP_PERFMON on top of CAP_BPF: it reads the lines of all
// slots, one after the other, and keeps the least key without a branch:
//
//	bit 62     closed: only if all are
//	bit 61     stale: a connection waits for accept, and none was accepted for StaleAfter
//	bit 60     full, of policies that do not go by load
//	bits 10..  load, negative is 0; of policies that do not go by load 0
//	bits 0..9  rank: how far behind the slot picked last, so that equals take turns
//
// The lines are read in blocks by one function that is called for each block: the code stays small enough for the
// processor's caches, while the verifier follows each call. Whether a slot is stale costs three more loads, so it is asked
// of the winner first. Only if that one is stale all are compared again by another function.
//
// All values come from memory that workers can write. Whatever they are, the index is masked before use, and the worst is a
// bad choice.
type reuseProgram struct {
	policy  Policy
	class   int  // slots that it looks at: a power of two
	refuse  bool // refuse a connection if the slot is full
	migrate bool // the kernel asks also for connections of a socket that is closed
	hot     int  // descriptor of the hot memory
	sockets int  // descriptor of the sockets by slot
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

	// Of tables that are drawn from: how many entries are for a CPU. See fill.
	drawEntry = ipc.TableSize - 1
)

// class is the number of slots that a program for the given number of slots looks at.
func class(slots int) int {
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

// assemble gives the program. Registers: R6 the context, R7 the hot memory, R8 the time of accept before which a slot is
// stale, R9 first the slot after the one picked last, then the slot that is picked.
func (p reuseProgram) assemble() asm.Instructions {
	insns := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("steer"),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.RFP, onStackNow, asm.R0, asm.DWord),
		asm.LoadMapValue(asm.R7, p.hot, 0),
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

// byLoad: the search goes by load. It does also for policies that look into the table, when the slot there is not to be picked.
func (p reuseProgram) byLoad() bool { return p.policy != RoundRobin }
