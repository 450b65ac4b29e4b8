package listen

import (
	"fmt"
	"slices"

	"github.com/tinehq/tine/supervisor/listen/bpf"
)

// Policy is how a slot is picked for a new connection, among the open slots.
type Policy = bpf.Policy

const (
	Least      = bpf.Least
	RoundRobin = bpf.RoundRobin
	Random     = bpf.Random
	Hash       = bpf.Hash
	ClientIP   = bpf.ClientIP
	CPU        = bpf.CPU
)

// Kind is the means by which the kernel is made to pick.
type Kind string

const (
	KindEBPF   Kind = "ebpf"   // a program that reads the board for each connection
	KindCBPF   Kind = "cbpf"   // a classic program, replaced when the slots that get connections change
	KindHash   Kind = "hash"   // the kernel's own hash
	KindShared Kind = "shared" // one socket for all slots: who accepts first has it
	KindNone   Kind = "none"   // there is no address, so no connection to steer
)

// Options are how the connections of a Set are steered. The zero value is Least by the best kind that there is.
type Options struct {
	Policy Policy             // "": Least
	Best   Kind               // the best kind to use; "": KindEBPF
	Full   int                // busy connections at which a slot is full; 0: never. KindEBPF only
	Refuse bool               // when all slots are full connections are refused; otherwise they queue. KindEBPF only
	CPU    func(slot int) int // of policy CPU: the CPU of a slot, -1: none; nil: no slot has one. Called by any method of the Set, with its lock held
	// Given are listening sockets that this process was started with. An address that one of them is for is served with it,
	// and not taken. They stay the caller's, and open as long as the Set.
	Given []*Given
}

// check returns an error for a policy or kind that does not exist.
func (o Options) check() error {
	if !slices.Contains(bpf.Policies, o.Policy) {
		return fmt.Errorf("cannot steer by policy %q: there is none", o.Policy)
	}
	if !slices.Contains([]Kind{"", KindEBPF, KindCBPF, KindHash}, o.Best) {
		return fmt.Errorf("cannot steer by kind %q: there is none", o.Best)
	}
	return nil
}

// Steering tells how connections are steered at the moment.
type Steering struct {
	Kind    Kind
	Policy  Policy
	Exact   bool     // Kind does just what Policy says, where slots have sockets of their own
	Notes   []string // what it does instead, and why not a better kind
	Refused uint64   // connections that were refused because all slots were full
}

// Steering tells how connections are steered at the moment.
func (s *Set) Steering() Steering {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Steering{Kind: s.steerer.kind(), Policy: s.options.Policy}
	st.Exact = exact(st.Kind, st.Policy)
	st.Notes = append(limits(st.Kind, s.options), s.notes...)
	if st.Kind != KindShared {
		for _, g := range s.groups {
			if g.shared {
				st.Notes = append(st.Notes, fmt.Sprintf("%s is one socket for all slots: who accepts first has the connection", g.address))
			}
		}
	}
	if !s.closed && s.board != nil {
		st.Refused = s.board.Header().Refused.Load()
	}
	return st
}

// exact reports whether a kind does just what the policy says.
func exact(k Kind, p Policy) bool {
	switch k {
	case KindEBPF, KindNone:
		return true
	case KindCBPF:
		return p != Least && p != RoundRobin
	case KindHash:
		return p == Hash
	}
	return false
}

// limits says what a kind does instead of what it is asked for.
func limits(k Kind, o Options) (notes []string) {
	switch {
	case exact(k, o.Policy):
	case k == KindShared:
		notes = append(notes, "all slots share their sockets: who accepts first has the connection")
	case k == KindHash:
		notes = append(notes, fmt.Sprintf("the kernel's hash stands in for policy %s", o.Policy))
	case o.Policy == Least:
		notes = append(notes, "policy least is at random among the slots with the least to do, as it was some milliseconds ago")
	default:
		notes = append(notes, fmt.Sprintf("policy %s is at random: evenly, but not in turn", o.Policy))
	}
	if o.Policy == CPU && o.CPU == nil && (k == KindEBPF || k == KindCBPF) {
		notes = append(notes, "no slot is bound to a CPU: the number of a connection's CPU picks one")
	}
	if o.Full > 0 && k != KindEBPF && k != KindNone {
		notes = append(notes, "full slots are not avoided and no connection is refused: they queue")
	}
	return slices.Clip(notes)
}
