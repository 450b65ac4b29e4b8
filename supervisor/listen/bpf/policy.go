package bpf

// Policy is how a slot is picked for a new connection, among the open slots.
type Policy string

const (
	Least      Policy = "least"       // the slot with the least to do
	RoundRobin Policy = "round-robin" // one slot after the other
	Random     Policy = "random"
	Hash       Policy = "hash"      // by the addresses and ports of both ends
	ClientIP   Policy = "client-ip" // by the client's address: the same client reaches the same slot
	CPU        Policy = "cpu"       // the slot of the CPU that handles the packet
)

// Policies are all policies.
var Policies = []Policy{Least, RoundRobin, Random, Hash, ClientIP, CPU}
