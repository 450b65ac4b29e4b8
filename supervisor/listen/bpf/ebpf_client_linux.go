package bpf

import (
	"encoding/binary"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// hashClient gives in R0 a hash of the client's address. A client of IPv4 has the same one on a socket that serves both. If
// the address cannot be read it is the hash of the connection.
func (p Reuse) hashClient() (insns asm.Instructions) {
	if p.Migrate {
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
