package bpf

import (
	"github.com/cilium/ebpf/asm"

	"github.com/tinehq/tine/ipc"
)

// lookUp picks the slot that the table has, if that is open and not full.
func (p Reuse) lookUp() (insns asm.Instructions) {
	switch p.Policy {
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
		asm.And.Imm(asm.R9, int32(p.Class-1)),
	)
	insns = append(insns, line(asm.R2, asm.R9)...)
	// R1 gets negative if the slot is not to be picked.
	insns = append(insns, overFull(asm.R1, asm.R2, asm.R3)...)
	insns = append(insns,
		asm.LoadMem(asm.R3, asm.R2, inFlags, asm.DWord),
		asm.LSh.Imm(asm.R3, 63),
		asm.Or.Reg(asm.R1, asm.R3),
	)
	if p.Policy == Random || p.Policy == Hash {
		// These promise no slot to a connection.
		insns = append(insns, stale(asm.R3, asm.R2, asm.R8, asm.R4)...)
		insns = append(insns, asm.Or.Reg(asm.R1, asm.R3))
	}
	return append(insns, asm.JSGE.Imm(asm.R1, 0, "picked"))
}

// draw gives in R1 a random number below the draw entry of the table.
func (p Reuse) draw() asm.Instructions {
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
