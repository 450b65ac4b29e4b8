package listen

// Policy is how a slot is picked for a new connection, among those that get any.
type Policy string

const (
	Least      Policy = "least"       // the slot with the least to do
	RoundRobin Policy = "round-robin" // one after the other
	Random     Policy = "random"
	Hash       Policy = "hash"      // by the addresses and ports of both ends
	ClientIP   Policy = "client-ip" // by the client's address: the same client reaches the same slot
	CPU        Policy = "cpu"       // the slot of the CPU that handles the packet
)

// Kind is the means by which the kernel is made to pick.
type Kind string

const (
	KindEBPF   Kind = "ebpf"   // a program that reads the board for each connection
	KindCBPF   Kind = "cbpf"   // a classic program, replaced when who gets connections changes
	KindHash   Kind = "hash"   // the kernel's own hash
	KindShared Kind = "shared" // one socket for all slots: who accepts first has it
)

// Options are how the connections of a Set are steered. The zero value is Least by the best kind that there is.
type Options struct {
	Policy Policy             // "": Least
	Best   Kind               // the best kind to use; "": KindEBPF
	Full   int                // busy connections at which a slot is full; 0: never. KindEBPF only
	Refuse bool               // when all slots are full connections are refused; otherwise they queue. KindEBPF only
	CPU    func(slot int) int // of policy CPU: the CPU of a slot, -1: none. nil: no slot has one
}

// Steering tells how connections are steered at the moment.
type Steering struct {
	Kind    Kind
	Policy  Policy
	Exact   bool     // Kind does just what Policy says
	Notes   []string // what it does instead, and why it is no better kind
	Refused uint64   // connections that were refused because all slots were full
}
