package bpf

import (
	"math"

	"github.com/cilium/ebpf/asm"

	"github.com/tinehq/tine/ipc"
)

// search gives in R9 the slot with the least key.
func (p Reuse) search() asm.Instructions {
	insns := asm.Instructions{
		asm.LoadMem(asm.R9, asm.R7, atLast, asm.DWord),
		asm.Add.Imm(asm.R9, 1),
		asm.And.Imm(asm.R9, int32(p.Class-1)),
	}
	insns = append(insns, p.blocks("least")...)
	insns = append(insns,
		asm.Mov.Reg(asm.R1, asm.R0),
		asm.RSh.Imm(asm.R1, closedBit),
		asm.JNE.Imm(asm.R1, 0, "pass"),
		asm.Add.Reg(asm.R0, asm.R9),
		asm.And.Imm(asm.R0, int32(p.Class-1)),
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
		asm.And.Imm(asm.R0, int32(p.Class-1)),
		asm.Mov.Reg(asm.R9, asm.R0).WithSymbol("found"),
	)
}

// blocks calls the function for all lines. R0 is the least key of them.
func (p Reuse) blocks(function string) (insns asm.Instructions) {
	size := min(p.Class, blockSize)
	insns = append(insns, asm.LoadImm(asm.R0, math.MaxInt64, asm.DWord))
	for at := 0; at < p.Class; at += size {
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
func (p Reuse) block(function string, fresh bool) asm.Instructions {
	insns := asm.Instructions{asm.Mov.Reg(asm.R0, asm.R3).WithSymbol(function)}
	full := fresh && !p.byLoad()
	if full {
		// R5 = the most busy connections of a slot with room.
		insns = append(insns, asm.LoadMapValue(asm.R3, p.Hot, 0))
		insns = append(insns, room(asm.R5, asm.R3)...)
	}
	key, x, y := asm.R3, asm.R6, asm.R7
	for i := range min(p.Class, blockSize) {
		at := int16(i << lineBits)
		insns = append(insns,
			asm.Add.Imm(asm.R2, 1),
			asm.And.Imm(asm.R2, int32(p.Class-1)),
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
