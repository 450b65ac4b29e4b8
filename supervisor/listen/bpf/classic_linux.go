package bpf

import (
	"fmt"
	"maps"
	"slices"

	vm "golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// maxProgram is the longest classic program that the kernel takes: BPF_MAXINSNS of linux/bpf_common.h.
const maxProgram = 4096

// Classic is an assembled classic program, ready to be attached. It has at least one instruction.
type Classic []unix.SockFilter

// Choice says among which slots a classic program picks.
type Choice struct {
	Policy  Policy
	Slots   int                // that have sockets: at least 1
	Open    []int              // the slots that get connections: ascending, at least one
	Weights []uint8            // of the slots in Open, for Least; of another length, or all equal: no slot is preferred
	CPU     func(slot int) int // for policy CPU: the CPU of a slot, -1: none; nil: no slot has one
	// Numbers are the slots by the kernel's number in the group; nil where number and slot are the same. A slot that is not
	// among them has no socket that listens. With Numbers the policies hash and client-ip pick among the open slots alone: a
	// slot that is not open moves other slots' clients too.
	Numbers []int
}

// First returns the program that gives all connections to the first socket of a group.
func First() Classic { return Classic{{Code: unix.BPF_RET | unix.BPF_K}} }

// Classic returns the program. It fails if the kernel would not take a program of that length.
func (c Choice) Classic() (Classic, error) {
	p, open := c.program()
	if len(p) > maxProgram {
		return nil, fmt.Errorf("cannot steer by %s to %d of %d slots: the program has %d instructions, one may have %d",
			c.Policy, open, c.Slots, len(p), maxProgram)
	}
	raw, err := vm.Assemble(p)
	if err != nil {
		return nil, fmt.Errorf("cannot steer by %s to %d of %d slots: %w", c.Policy, open, c.Slots, err)
	}
	filter := make(Classic, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return filter, nil
}

// program returns the program and the number of sockets that it picks among.
func (c Choice) program() (p code, open int) {
	at, weights := c.Open, c.Weights
	cpu := c.CPU
	if cpu == nil {
		cpu = func(int) int { return -1 }
	}
	if c.Numbers != nil {
		at, weights = c.numbered()
		of := cpu
		cpu = func(n int) int {
			if n >= len(c.Numbers) {
				return -1
			}
			return of(c.Numbers[n])
		}
	}
	switch c.Policy {
	case Hash, ClientIP:
		p.hash(c.Policy == Hash)
		if c.Numbers == nil {
			p.placed(c.Slots, at)
		} else {
			p.choose(at)
		}
	case CPU:
		p.byCPU(at, cpu)
	case Least:
		p.random(at, weights)
	default:
		p.random(at, nil)
	}
	return p, len(at)
}

// numbered returns the kernel's numbers of the open slots, and their weights. When no open slot has a socket that listens it
// returns all numbers: a worker may start in one of those slots.
func (c Choice) numbered() (at []int, weights []uint8) {
	for i, slot := range c.Open {
		n := slices.Index(c.Numbers, slot)
		if n < 0 {
			continue
		}
		at = append(at, n)
		if i < len(c.Weights) {
			weights = append(weights, c.Weights[i])
		}
	}
	if len(at) == 0 {
		for n := range max(len(c.Numbers), 1) {
			at = append(at, n)
		}
		return at, nil
	}
	return at, weights
}

// code is a program that is being written. All jumps are forward.
type code []vm.Instruction

func (p *code) add(more ...vm.Instruction) { *p = append(*p, more...) }

// op computes A from A and k; opX from A and X.
func op(op vm.ALUOp, k uint32) vm.Instruction { return vm.ALUOpConstant{Op: op, Val: k} }
func opX(op vm.ALUOp) vm.Instruction          { return vm.ALUOpX{Op: op} }

// get and getX read a scratch word into A and X. put writes A to it.
func get(cell int) vm.Instruction  { return vm.LoadScratch{Dst: vm.RegA, N: cell} }
func getX(cell int) vm.Instruction { return vm.LoadScratch{Dst: vm.RegX, N: cell} }
func put(cell int) vm.Instruction  { return vm.StoreScratch{Src: vm.RegA, N: cell} }

func ret(n int) vm.Instruction { return vm.RetConstant{Val: uint32(n)} }

// unless skips the next n instructions, at most 255, if A does not compare with k.
func unless(compare vm.JumpTest, k uint32, n int) vm.Instruction {
	return vm.JumpIf{Cond: compare, Val: k, SkipFalse: uint8(n)}
}

// when runs block if A is k.
func (p *code) when(k uint32, block code) {
	if len(block) <= 255 {
		p.add(unless(vm.JumpEqual, k, len(block)))
	} else {
		p.add(vm.JumpIf{Cond: vm.JumpEqual, Val: k, SkipTrue: 1}, vm.Jump{Skip: uint32(len(block))})
	}
	p.add(block...)
}

// random returns one of open, by chance. Each slot's share is its weight's.
func (p *code) random(open []int, weights []uint8) {
	p.add(vm.LoadExtension{Num: vm.ExtRand})
	total := 0
	for _, w := range weights {
		total += int(w)
	}
	if len(weights) != len(open) || total == 0 || slices.Min(weights) == slices.Max(weights) {
		p.choose(open)
		return
	}
	p.add(op(vm.ALUOpMod, uint32(total)))
	sum := 0
	for i, slot := range open {
		if weights[i] == 0 {
			continue
		}
		sum += int(weights[i])
		if sum == total {
			p.add(ret(slot))
			break
		}
		p.add(vm.JumpIf{Cond: vm.JumpGreaterOrEqual, Val: uint32(sum), SkipTrue: 1}, ret(slot))
	}
}

// choose returns one of open by A. Slots that follow one another need three instructions together.
func (p *code) choose(open []int) {
	p.add(op(vm.ALUOpMod, uint32(len(open))))
	for at := 0; at < len(open); {
		end := at + 1
		for end < len(open) && open[end] == open[end-1]+1 {
			end++
		}
		var shift code
		if by := open[at] - at; by != 0 {
			shift.add(op(vm.ALUOpAdd, uint32(by)))
		}
		shift.add(vm.RetA{})
		if end < len(open) {
			p.add(vm.JumpIf{Cond: vm.JumpGreaterOrEqual, Val: uint32(end), SkipTrue: uint8(len(shift))})
		}
		p.add(shift...)
		at = end
	}
}

// byCPU returns an open slot of the CPU that handles the packet. A CPU without an open slot gets one of all open slots, by
// the CPU's number.
func (p *code) byCPU(open []int, of func(slot int) int) {
	slots := map[int][]int{}
	for _, slot := range open {
		if cpu := of(slot); cpu >= 0 {
			slots[cpu] = append(slots[cpu], slot)
		}
	}
	p.add(vm.LoadExtension{Num: vm.ExtCPUID})
	for _, cpu := range slices.Sorted(maps.Keys(slots)) {
		var block code
		if len(slots[cpu]) == 1 {
			block.add(ret(slots[cpu][0]))
		} else {
			block.random(slots[cpu], nil)
		}
		p.when(uint32(cpu), block)
	}
	p.choose(open)
}
