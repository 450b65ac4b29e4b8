package slots

import (
	"encoding/binary"
	"slices"

	"github.com/tinehq/tine/ipc"
)

// Totals are what the workers of each slot have done that are gone. The zero Totals are empty.
type Totals struct {
	bySlot  []ipc.Stats
	shown   []*ipc.Stats     // for readers; nil: to be made
	saved   []byte           // for the record, but for the slots that have changed since
	changed map[int]struct{} // slots
}

var statsSize = binary.Size(ipc.Stats{})

// Add adds what a worker of a slot has done.
func (t *Totals) Add(slot int, done ipc.Stats) {
	for len(t.bySlot) <= slot {
		t.bySlot = append(t.bySlot, ipc.Stats{})
	}
	t.bySlot[slot].Add(done)
	t.change(slot)
}

// Inherit takes over, instead of all that there is, what the workers of another run have done.
func (t *Totals) Inherit(from *Totals) {
	*t = Totals{bySlot: slices.Clone(from.bySlot)}
	for slot := range t.bySlot {
		t.change(slot)
	}
}

func (t *Totals) change(slot int) {
	if t.changed == nil {
		t.changed = map[int]struct{}{}
	}
	t.changed[slot] = struct{}{}
	if slot < len(t.shown) {
		t.shown[slot] = nil
	}
}

// Shown are copies by slot, which never change. A slot that has not changed has the same copy as before.
func (t *Totals) Shown() []*ipc.Stats {
	for len(t.shown) < len(t.bySlot) {
		t.shown = append(t.shown, nil)
	}
	for slot, shown := range t.shown {
		if shown == nil {
			copied := t.bySlot[slot]
			t.shown[slot] = &copied
		}
	}
	return slices.Clone(t.shown)
}

// Save encodes them for Restore: in the order of the slots, each as binary.Write with little endian. Only slots that have changed are
// encoded again. The bytes are overwritten by the next Save.
func (t *Totals) Save() []byte {
	if n := len(t.bySlot) * statsSize; len(t.saved) < n {
		t.saved = append(t.saved, make([]byte, n-len(t.saved))...)
	}
	for slot := range t.changed {
		_, _ = binary.Encode(t.saved[slot*statsSize:], binary.LittleEndian, &t.bySlot[slot]) // it fails only with what has no fixed size
	}
	clear(t.changed)
	return t.saved
}

// Restore takes over, instead of all that there is, what Save has encoded. What another version has encoded with another size is
// nothing.
func (t *Totals) Restore(saved []byte) {
	if len(saved) == 0 || len(saved)%statsSize != 0 {
		return
	}
	all := make([]ipc.Stats, len(saved)/statsSize)
	if _, err := binary.Decode(saved, binary.LittleEndian, all); err == nil {
		*t = Totals{bySlot: all, saved: slices.Clone(saved)}
	}
}
