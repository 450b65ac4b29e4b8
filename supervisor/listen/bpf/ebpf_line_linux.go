package bpf

import (
	"github.com/cilium/ebpf/asm"

	"github.com/tinehq/tine/ipc"
)

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
