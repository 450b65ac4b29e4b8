// Package bpf builds the programs that pick, in the kernel, the slot of a new connection. It only builds: it makes no
// system call, holds no descriptor and knows no Set. Package listen loads and attaches what it returns.
//
//	              Choice.Classic                          Reuse.Assemble
//	machine       classic BPF                             eBPF, SK_REUSEPORT
//	privilege     none                                    CAP_BPF
//	knows         chance, the CPU, the packet's headers   the board: load, stalls and refusals of each slot
//	open slots    are in the program: a change            are on the board: the program stays
//	              replaces the program
//	names a slot  by the kernel's number in the group     by the slot's entry in a map of sockets
//
// # Classic programs
//
// A [Choice] says among which slots a program picks. The policies least, round-robin and random draw a random number; least
// draws by weights. The policy cpu compares the number of the CPU. The policies hash and client-ip compute a hash of the
// packet's headers and place it, so that a slot that is not open moves its own clients only: see place and placed. The
// programs are written with golang.org/x/net/bpf, and the tests run them in that package's virtual machine.
//
// # eBPF programs
//
// One program serves all policies: see [Reuse] for the key that it minimises. The policies random, hash, client-ip and cpu
// first look into a [Table], which the master writes to the board. The instructions are written with cilium's asm package,
// not compiled from C, so that no compiler is needed to build the module. Each instruction stands on a line of its own,
// and the registers that live through the program are named in Reuse.Assemble.
//
// # Safety
//
// Workers can write to the board. So a program masks each index that it has read before it uses it; the worst that a worker
// can cause is a bad choice. A program has no loop, so it ends.
package bpf
