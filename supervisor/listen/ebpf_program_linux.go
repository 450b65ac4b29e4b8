package listen

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

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

// lookUp picks the slot that the table has, if that is open and not full.
func (p reuseProgram) lookUp() (insns asm.Instructions) {
	switch p.policy {
	case Random:
		insns = append(p.draw(), asm.Mov.Reg(asm.R0, asm.R1))
	case CPU:
		// Several slots of one CPU: any of them.
		insns = append(p.draw(),
			asm.StoreMem(asm.RFP, onStackAddr, asm.R1, asm.DWord),
			asm.FnGetSmpProcessorId.Call(),
			asm.LoadMem(asm.R1, asm.R7, tableOffset(drawEntry), asm.Half),
			asm.Mul.Reg(asm.R0, asm.R1),
			asm.LoadMem(asm.R1, asm.RFP, onStackAddr, asm.DWord),
			asm.Add.Reg(asm.R0, asm.R1),
		)
	case Hash:
		insns = asm.Instructions{asm.LoadMem(asm.R0, asm.R6, mdHash, asm.Word)}
	case ClientIP:
		insns = p.hashClient()
	default:
		return nil
	}
	insns = append(insns,
		asm.And.Imm(asm.R0, ipc.TableSize-1),
		asm.LSh.Imm(asm.R0, 1),
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.Add.Imm(asm.R1, ipc.TableOffset),
		asm.Add.Reg(asm.R1, asm.R0),
		asm.LoadMem(asm.R9, asm.R1, 0, asm.Half),
		asm.And.Imm(asm.R9, int32(p.class-1)),
	)
	insns = append(insns, line(asm.R2, asm.R9)...)
	// R1 gets negative if the slot is not to be picked.
	insns = append(insns, overFull(asm.R1, asm.R2, asm.R3)...)
	insns = append(insns,
		asm.LoadMem(asm.R3, asm.R2, inFlags, asm.DWord),
		asm.LSh.Imm(asm.R3, 63),
		asm.Or.Reg(asm.R1, asm.R3),
	)
	if p.policy == Random || p.policy == Hash {
		// These promise no slot to anybody.
		insns = append(insns, stale(asm.R3, asm.R2, asm.R8, asm.R4)...)
		insns = append(insns, asm.Or.Reg(asm.R1, asm.R3))
	}
	return append(insns, asm.JSGE.Imm(asm.R1, 0, "picked"))
}

// draw gives in R1 a random number below the draw entry of the table.
func (p reuseProgram) draw() asm.Instructions {
	return asm.Instructions{
		asm.FnGetPrandomU32.Call(),
		asm.LSh.Imm(asm.R0, 32),
		asm.RSh.Imm(asm.R0, 32),
		asm.LoadMem(asm.R1, asm.R7, tableOffset(drawEntry), asm.Half),
		asm.Mul.Reg(asm.R1, asm.R0),
		asm.RSh.Imm(asm.R1, 32),
	}
}

func tableOffset(i int) int16 { return int16(ipc.TableOffset + 2*i) }

// hashClient gives in R0 a hash of the client's address. A client of IPv4 has the same one on a socket that serves both. If
// the address cannot be read it is the hash of the connection.
func (p reuseProgram) hashClient() (insns asm.Instructions) {
	if p.migrate {
		// There is no packet, or one that is not a SYN: the connection has the address.
		insns = asm.Instructions{
			asm.LoadMem(asm.R2, asm.R6, mdMigrating, asm.DWord),
			asm.JEq.Imm(asm.R2, 0, "packet"),
			asm.LoadMem(asm.R0, asm.R2, sockDstIP4, asm.Word),
			asm.LoadMem(asm.R3, asm.R2, sockFamily, asm.Word),
			asm.JNE.Imm(asm.R3, unix.AF_INET6, "mix"),
			asm.LoadMem(asm.R0, asm.R2, sockDstIP6, asm.Word),
			asm.LoadMem(asm.R3, asm.R2, sockDstIP6+4, asm.Word),
			asm.LSh.Imm(asm.R3, 32),
			asm.Or.Reg(asm.R3, asm.R0),
			asm.LoadMem(asm.R4, asm.R2, sockDstIP6+8, asm.Word),
			asm.LoadMem(asm.R0, asm.R2, sockDstIP6+12, asm.Word),
			asm.JNE.Imm(asm.R3, 0, "wide"),
			asm.JEq.Imm32(asm.R4, int32(networkOrder32(0xffff)), "mix"),
			asm.LSh.Imm(asm.R0, 32).WithSymbol("wide"),
			asm.Or.Reg(asm.R0, asm.R4),
			asm.Mov.Reg(asm.R1, asm.R3),
			asm.Ja.Label("fold"),
		}
	}
	loadAddress := func(offset, size int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Imm(asm.R2, offset),
			asm.Mov.Reg(asm.R3, asm.RFP),
			asm.Add.Imm(asm.R3, onStackAddr),
			asm.Mov.Imm(asm.R4, size),
			asm.Mov.Imm(asm.R5, headerStartNet),
			asm.FnSkbLoadBytesRelative.Call(),
			asm.JNE.Imm(asm.R0, 0, "unreadable"),
		}
	}
	insns = append(insns,
		asm.LoadMem(asm.R1, asm.R6, mdEthProtocol, asm.Word).WithSymbol("packet"),
		asm.JEq.Imm(asm.R1, int32(networkOrder16(unix.ETH_P_IPV6)), "v6"),
		asm.JNE.Imm(asm.R1, int32(networkOrder16(unix.ETH_P_IP)), "unreadable"),
	)
	insns = append(insns, loadAddress(12, 4)...)
	insns = append(insns,
		asm.LoadMem(asm.R0, asm.RFP, onStackAddr, asm.Word),
		asm.Ja.Label("mix"),
	)
	v6 := loadAddress(8, 16)
	v6[0] = v6[0].WithSymbol("v6")
	insns = append(insns, v6...)
	insns = append(insns,
		asm.LoadMem(asm.R0, asm.RFP, onStackAddr+8, asm.DWord),
		asm.LoadMem(asm.R1, asm.RFP, onStackAddr, asm.DWord),
		asm.Ja.Label("fold"),
		asm.LoadMem(asm.R0, asm.R6, mdHash, asm.Word).WithSymbol("unreadable"),
		asm.Ja.Label("mix"),
		// Two halves of an address become one number; an odd factor keeps all that tells them apart.
		loadWord(asm.R2, mixer1).WithSymbol("fold"),
		asm.Mul.Reg(asm.R1, asm.R2),
		asm.Mov.Reg(asm.R2, asm.R1),
		asm.RSh.Imm(asm.R2, 29),
		asm.Xor.Reg(asm.R1, asm.R2),
		asm.Xor.Reg(asm.R0, asm.R1),
		asm.Mov.Reg(asm.R1, asm.R0).WithSymbol("mix"),
	)
	return append(insns, mix(asm.R0, asm.R1, asm.R2)...)
}

// networkOrder16 is what a number in network byte order reads as here.
func networkOrder16(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

func networkOrder32(v uint32) uint32 {
	return binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, v))
}

// mix spreads what differs in a over all its bits: the finalizer of SplitMix64, see spread.
func mix(a, x, y asm.Register) (insns asm.Instructions) {
	for i, step := range []struct {
		shift  int32
		factor uint64
	}{{30, mixer1}, {27, mixer2}, {31, 0}} {
		insns = append(insns,
			asm.Mov.Reg(x, a),
			asm.RSh.Imm(x, step.shift),
			asm.Xor.Reg(a, x),
		)
		if i < 2 {
			insns = append(insns, loadWord(y, step.factor), asm.Mul.Reg(a, y))
		}
	}
	return insns
}

func loadWord(to asm.Register, n uint64) asm.Instruction { return asm.LoadImm(to, int64(n), asm.DWord) }

// search gives in R9 the slot with the least key.
func (p reuseProgram) search() asm.Instructions {
	insns := asm.Instructions{
		asm.LoadMem(asm.R9, asm.R7, atLast, asm.DWord),
		asm.Add.Imm(asm.R9, 1),
		asm.And.Imm(asm.R9, int32(p.class-1)),
	}
	insns = append(insns, p.blocks("least")...)
	insns = append(insns,
		asm.Mov.Reg(asm.R1, asm.R0),
		asm.RSh.Imm(asm.R1, closedBit),
		asm.JNE.Imm(asm.R1, 0, "pass"),
		asm.Add.Reg(asm.R0, asm.R9),
		asm.And.Imm(asm.R0, int32(p.class-1)),
	)
	insns = append(insns, line(asm.R2, asm.R0)...)
	insns = append(insns, stale(asm.R3, asm.R2, asm.R8, asm.R4)...)
	if !p.byLoad() {
		insns = append(insns, overFull(asm.R1, asm.R2, asm.R4)...)
		insns = append(insns, asm.Or.Reg(asm.R3, asm.R1))
	}
	insns = append(insns, asm.JSGE.Imm(asm.R3, 0, "found"))
	insns = append(insns, p.blocks("fresh")...)
	return append(insns,
		asm.Add.Reg(asm.R0, asm.R9),
		asm.And.Imm(asm.R0, int32(p.class-1)),
		asm.Mov.Reg(asm.R9, asm.R0).WithSymbol("found"),
	)
}

// blocks calls the function for all lines. R0 is the least key of them.
func (p reuseProgram) blocks(function string) (insns asm.Instructions) {
	size := min(p.class, blockSize)
	insns = append(insns, asm.LoadImm(asm.R0, math.MaxInt64, asm.DWord))
	for at := 0; at < p.class; at += size {
		insns = append(insns,
			asm.Mov.Reg(asm.R1, asm.R7),
			asm.Add.Imm(asm.R1, int32(ipc.LinesOffset+at<<lineBits)),
			asm.Mov.Imm(asm.R2, int32(at-1)),
			asm.Sub.Reg(asm.R2, asm.R9),
			asm.Mov.Reg(asm.R3, asm.R0),
			asm.Mov.Reg(asm.R4, asm.R8),
			asm.Call.Label(function),
		)
	}
	return insns
}

// block is the function that finds the least key in a block of lines. R1 is the first of them, R2 the rank before its own, R3
// the least key so far, R4 the time of accept before which a slot is stale.
func (p reuseProgram) block(function string, fresh bool) asm.Instructions {
	insns := asm.Instructions{asm.Mov.Reg(asm.R0, asm.R3).WithSymbol(function)}
	full := fresh && !p.byLoad()
	if full {
		// R5 = the most busy connections of a slot with room.
		insns = append(insns, asm.LoadMapValue(asm.R3, p.hot, 0))
		insns = append(insns, room(asm.R5, asm.R3)...)
	}
	key, x, y := asm.R3, asm.R6, asm.R7
	for i := range min(p.class, blockSize) {
		at := int16(i << lineBits)
		insns = append(insns,
			asm.Add.Imm(asm.R2, 1),
			asm.And.Imm(asm.R2, int32(p.class-1)),
			asm.LoadMem(key, asm.R1, at+inFlags, asm.DWord),
			asm.LSh.Imm(key, 63),
			asm.RSh.Imm(key, 63-closedBit),
			asm.Or.Reg(key, asm.R2),
		)
		if p.byLoad() || full {
			insns = append(insns, load(x, asm.R1, at, y)...)
		}
		if p.byLoad() {
			insns = append(insns,
				asm.Mov.Reg(y, x),
				asm.ArSh.Imm(y, 63),
				asm.And.Reg(y, x),
				asm.Sub.Reg(x, y), // negative: 0
				asm.LSh.Imm(x, rankBits),
				asm.Or.Reg(key, x),
			)
		}
		if full {
			insns = append(insns,
				asm.ArSh.Imm(x, busyBits),
				asm.Mov.Reg(y, asm.R5),
				asm.Sub.Reg(y, x),
				asm.RSh.Imm(y, 63),
				asm.LSh.Imm(y, fullBit),
				asm.Or.Reg(key, y),
			)
		}
		if fresh {
			insns = append(insns, staleAt(x, asm.R1, at, asm.R4, y)...)
			insns = append(insns,
				asm.RSh.Imm(x, 63),
				asm.LSh.Imm(x, staleBit),
				asm.Or.Reg(key, x),
			)
		}
		insns = append(insns, // R0 = min(R0, key)
			asm.Sub.Reg(key, asm.R0),
			asm.Mov.Reg(x, key),
			asm.ArSh.Imm(x, 63),
			asm.And.Reg(key, x),
			asm.Add.Reg(asm.R0, key),
		)
	}
	return append(insns, asm.Return())
}

// line sets to to the line of the slot, which is masked.
func line(to, slot asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, slot),
		asm.LSh.Imm(asm.R1, lineBits),
		asm.Mov.Reg(to, asm.R7),
		asm.Add.Imm(to, ipc.LinesOffset),
		asm.Add.Reg(to, asm.R1),
	}
}

// load sets to to the load of the line, which may be negative.
func load(to, line asm.Register, at int16, x asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(to, line, at+inAssigned, asm.DWord),
		asm.Mul.Imm(to, ipc.Weight),
		asm.LoadMem(x, line, at+inReleased, asm.DWord),
		asm.Sub.Reg(to, x),
		asm.LoadMem(x, line, at+inReleased+8, asm.DWord),
		asm.Sub.Reg(to, x),
	}
}

// staleAt makes to negative if the slot of the line is stale: more connections were assigned than accepted, and the last accept
// was before since.
func staleAt(to, line asm.Register, at int16, since, x asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(to, line, at+inAccepted, asm.DWord),
		asm.LoadMem(x, line, at+inAccepted+8, asm.DWord),
		asm.Add.Reg(to, x),
		asm.LoadMem(x, line, at+inAssigned, asm.DWord),
		asm.Sub.Reg(to, x),
		asm.LoadMem(x, line, at+inAcceptedAt, asm.DWord),
		asm.Sub.Reg(x, since),
		asm.And.Reg(to, x),
	}
}

func stale(to, line, since, x asm.Register) asm.Instructions { return staleAt(to, line, 0, since, x) }

// room sets to to the most busy connections of a slot with room: Full - 1, and a number that is never reached if Full is 0.
func room(to, hot asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(to, hot, atFull, asm.DWord),
		asm.Sub.Imm(to, 1),
		asm.LSh.Imm(to, 2),
		asm.RSh.Imm(to, 2),
	}
}

// overFull makes to negative if the slot of the line is full.
func overFull(to, line, x asm.Register) asm.Instructions {
	insns := load(x, line, 0, to)
	insns = append(insns, asm.ArSh.Imm(x, busyBits))
	insns = append(insns, room(to, asm.R7)...)
	return append(insns, asm.Sub.Reg(to, x))
}

// pick gives the connection to slot R9 and counts it, unless it is refused. What is no SYN and not moved from a closed socket
// is picked for all the same, but never counted or refused: stray packets, and the answer to a SYN cookie.
func (p reuseProgram) pick() asm.Instructions {
	insns := asm.Instructions{
		asm.Mov.Imm(asm.R8, 0).WithSymbol("picked"),
		asm.LoadMem(asm.R1, asm.R6, mdData, asm.DWord),
		asm.LoadMem(asm.R2, asm.R6, mdDataEnd, asm.DWord),
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Add.Imm(asm.R3, 14),
		asm.JGT.Reg(asm.R3, asm.R2, "other"),
		asm.LoadMem(asm.R3, asm.R1, 13, asm.Byte),
		asm.And.Imm(asm.R3, 0x16), // ACK, RST, SYN
		asm.JNE.Imm(asm.R3, 0x02, "other"),
		asm.Mov.Imm(asm.R8, 1),
	}
	if p.refuse {
		insns = append(insns, line(asm.R2, asm.R9)...)
		insns = append(insns, overFull(asm.R1, asm.R2, asm.R3)...)
		insns = append(insns,
			asm.JSGE.Imm(asm.R1, 0, "other"),
			asm.Mov.Imm(asm.R1, 1),
			asm.AddAtomic.Mem(asm.R7, asm.R1, asm.DWord, atRefused),
			asm.Mov.Imm(asm.R0, skDrop),
			asm.Return(),
		)
	}
	other := asm.Instructions{}
	if p.migrate {
		other = append(other,
			asm.LoadMem(asm.R1, asm.R6, mdMigrating, asm.DWord),
			asm.JEq.Imm(asm.R1, 0, "select"),
			asm.Mov.Imm(asm.R8, 1),
		)
	}
	other = append(other,
		asm.StoreMem(asm.RFP, onStackSlot, asm.R9, asm.Word).WithSymbol("select"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, p.sockets),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, onStackSlot),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSkSelectReuseport.Call(),
		asm.JNE.Imm(asm.R0, 0, "pass"),
		asm.JEq.Imm(asm.R8, 0, "pass"),
	)
	if p.migrate {
		other[0] = other[0].WithSymbol("other")
	} else {
		insns = append(insns, asm.Ja.Label("select").WithSymbol("other"))
	}
	insns = append(insns, other...)
	insns = append(insns, line(asm.R2, asm.R9)...)
	return append(insns,
		// The first that waits: it waits from now on.
		asm.LoadMem(asm.R3, asm.R2, inAssigned, asm.DWord),
		asm.LoadMem(asm.R4, asm.R2, inAccepted, asm.DWord),
		asm.Sub.Reg(asm.R3, asm.R4),
		asm.LoadMem(asm.R4, asm.R2, inAccepted+8, asm.DWord),
		asm.Sub.Reg(asm.R3, asm.R4),
		asm.JSGT.Imm(asm.R3, 0, "count"),
		asm.LoadMem(asm.R4, asm.RFP, onStackNow, asm.DWord),
		asm.StoreMem(asm.R2, inAcceptedAt, asm.R4, asm.DWord),
		asm.Mov.Imm(asm.R1, 1).WithSymbol("count"),
		asm.AddAtomic.Mem(asm.R2, asm.R1, asm.DWord, inAssigned),
		asm.AddAtomic.Mem(asm.R7, asm.R1, asm.DWord, atPicked),
		asm.StoreMem(asm.R7, atLast, asm.R9, asm.DWord),
		asm.Mov.Imm(asm.R0, skPass).WithSymbol("pass"),
		asm.Return(),
	)
}
