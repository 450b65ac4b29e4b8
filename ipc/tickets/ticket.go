package tickets

import "strconv"

// Ticket is one request at one slot, as its gateway has reserved it. The zero Ticket is none.
type Ticket struct {
	slot, row uint16
	word      uint64 // of the row when the ticket was sent
}

// None reports whether t is the zero Ticket.
func (t Ticket) None() bool { return t.word == 0 }

// textLen is the length of a ticket on the wire.
const textLen = 4 + 4 + 16

const digits = "0123456789abcdef"

// AppendText appends t as it is on the wire.
func (t Ticket) AppendText(b []byte) []byte {
	for shift := 12; shift >= 0; shift -= 4 {
		b = append(b, digits[t.slot>>shift&15])
	}
	for shift := 12; shift >= 0; shift -= 4 {
		b = append(b, digits[t.row>>shift&15])
	}
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[t.word>>shift&15])
	}
	return b
}

// String is t as it is on the wire.
func (t Ticket) String() string { return string(t.AppendText(make([]byte, 0, textLen))) }

// Parse reads what AppendText writes. Not ok: it is not a ticket, or none that can have been sent. A ticket that is ok may still be unknown
// to its slot.
func Parse(text string) (t Ticket, ok bool) {
	if len(text) != textLen {
		return Ticket{}, false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Ticket{}, false
		}
	}
	slot, _ := strconv.ParseUint(text[:4], 16, 16)
	row, _ := strconv.ParseUint(text[4:8], 16, 16)
	word, _ := strconv.ParseUint(text[8:], 16, 64)
	t = Ticket{slot: uint16(slot), row: uint16(row), word: word}
	if slot >= Slots || row >= Rows || word&stateBits != sent || !sound(word) {
		return Ticket{}, false
	}
	return t, true
}
