package listen

import (
	"os"

	"github.com/tinehq/tine/supervisor/listen/bpf"
)

// hash leaves the choice to the kernel as long as all slots may be picked. Its hash knows no others: while a slot is out
// a classic program picks among the rest, where the kernel takes one. Where it does not, a slot that is out gets
// connections all the same, and its worker is to accept them until it is closed. So nothing here fails.
type hash struct {
	groups []*os.File // a member of each group; nil where none has joined
	joined int        // slots
	open   []int
	number numbering
	member membership
}

func newHash(groups int) *hash { return &hash{groups: make([]*os.File, groups), open: first(1)} }

func (h *hash) kind() Kind { return KindHash }

func (h *hash) join(group, slot int, socket *os.File) error {
	if h.groups[group] == nil {
		h.groups[group] = socket
	}
	h.joined = max(h.joined, slot+1)
	return nil
}

func (h *hash) renew(group, slot int, socket *os.File) error {
	h.groups[group] = socket
	h.joined = max(h.joined, slot+1)
	return nil
}

func (h *hash) keepOut(group int) error { return h.narrow(group) }

func (h *hash) narrow(group int) error {
	member := h.groups[group]
	if member == nil {
		return nil
	}
	numbers, err := h.number.of(group)
	if err != nil {
		return err
	}
	p, err := bpf.Choice{Policy: Random, Slots: h.joined, Open: h.open, Numbers: numbers}.Classic()
	if err != nil {
		return err
	}
	return attach(h.member.of(group, member), p)
}

func (h *hash) leave(group, slot int) {
	if slot == 0 {
		h.groups[group] = nil
	}
	h.joined = min(h.joined, slot)
}

func (h *hash) steer(open []int, _ []uint8) error {
	h.open = open
	for i, member := range h.groups {
		if member == nil {
			continue
		}
		if len(open) < h.joined && h.narrow(i) == nil {
			continue
		}
		_ = detach(h.member.of(i, member))
	}
	return nil
}

func (h *hash) close() {}
