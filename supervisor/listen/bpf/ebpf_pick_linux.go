package bpf

import "github.com/cilium/ebpf/asm"

// pick gives the connection to slot R9 and counts it, unless it is refused. A packet that is neither a SYN nor moved from a closed socket
// (a stray packet, or the answer to a SYN cookie) gets a slot too, but is never counted or refused.
func (p Reuse) pick() asm.Instructions {
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
	if p.Refuse {
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
	if p.Migrate {
		other = append(other,
			asm.LoadMem(asm.R1, asm.R6, mdMigrating, asm.DWord),
			asm.JEq.Imm(asm.R1, 0, "select"),
			asm.Mov.Imm(asm.R8, 1),
		)
	}
	other = append(other,
		asm.StoreMem(asm.RFP, onStackSlot, asm.R9, asm.Word).WithSymbol("select"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, p.Sockets),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, onStackSlot),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSkSelectReuseport.Call(),
		asm.JNE.Imm(asm.R0, 0, "pass"),
		asm.JEq.Imm(asm.R8, 0, "pass"),
	)
	if p.Migrate {
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
