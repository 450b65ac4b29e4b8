package tickets

import (
	"encoding/binary"
	"testing"
)

// FuzzRubbish has gateways, workers and the master work on memory that another process writes rubbish into. Nothing panics, no ticket is
// begun more often than it was reserved, and after the last sweep all that is left is what workers run.
func FuzzRubbish(f *testing.F) {
	f.Add([]byte{0, 2, 3, 4, 0, 5, 1, 9, 9, 9, 9, 9, 9, 9, 9, 6, 7, 0, 2, 8})
	f.Add([]byte{0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 6, 0, 2, 3, 6, 7, 5, 4})
	f.Add([]byte{0, 3, 9, 255, 255, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 7, 6, 8, 8, 2, 2, 3})
	b := book(f)
	f.Fuzz(func(t *testing.T, program []byte) {
		const limit = 3
		s := b.Slot(1)
		clear(b.memory[headersOffset+headerBytes : headersOffset+2*headerBytes])
		clear(b.memory[rowsOffset+Rows*8 : rowsOffset+2*Rows*8])
		b.head().used.Store(2)
		var all []Ticket
		issued, begins := map[Ticket]int{}, map[Ticket]int{}
		pick := func(n byte) Ticket {
			if len(all) == 0 {
				return Ticket{}
			}
			return all[int(n)%len(all)]
		}
		next := func() (c byte) {
			if len(program) > 0 {
				c, program = program[0], program[1:]
			}
			return c
		}
		for len(program) > 0 {
			switch op := next(); op % 10 {
			case 0:
				if k, ok := s.Reserve(OwnerOf(uint64(op/10)), limit); ok {
					all = append(all, k)
					issued[k]++
				}
			case 1: // rubbish in a row
				var word [8]byte
				at := next() % limit
				for i := range word {
					word[i] = next()
				}
				w := binary.LittleEndian.Uint64(word[:])
				s.rows[at].Store(w)
				if k := (Ticket{slot: 1, row: uint16(at), word: w}); w&stateBits == sent {
					issued[k]++ // who writes a ticket has issued it
				}
			case 2:
				if k := pick(next()); s.Begin(k, int(op/10)) {
					begins[k]++
				}
			case 3:
				s.End(pick(next()), int(op/10))
			case 4:
				if k := pick(next()); s.Withdraw(k) && s.State(k) != Withdrawn {
					t.Fatalf("%v was withdrawn and is %d", k, s.State(k))
				}
			case 5:
				s.Release(pick(next()))
			case 6:
				b.Sweep(func(o Owner) bool { return o%2 == 0 })
			case 7:
				b.Ended(1, int(op/10))
			case 8: // rubbish in the header
				s.header.taken.Store(int64(int8(next())) << (op / 10))
				s.AddDirect(int(op), int64(int8(next()))<<(op/10))
				b.head().used.Store(uint64(next()%4) << (op / 10 * 2)) // 1024 slots take long to sweep
			case 9:
				s.Beats(int64(op))
				s.Correct(int64(op) << 30)
			}
			if n := s.Taken(limit); n < 0 || n > limit {
				t.Fatalf("%d of %d rows are taken", n, limit)
			}
			if s.Taken(0) < 0 || s.Taken(0) > Rows || s.Direct() < 0 {
				t.Fatalf("%d rows are taken, %d direct requests", s.Taken(0), s.Direct())
			}
		}
		for k, n := range begins {
			if n > issued[k] {
				t.Fatalf("%v began %d times, and was issued %d times", k, n, issued[k])
			}
		}
		b.head().used.Store(2)
		b.Sweep(func(Owner) bool { return false })
		b.Ended(1, 0)
		b.Ended(1, 1)
		if s.Taken(limit) != 0 || s.Taken(0) != 0 {
			t.Fatalf("%d rows are left, %d by the hint", s.Taken(limit), s.Taken(0))
		}
	})
}

// FuzzParse: a ticket is read as it was written, or not at all.
func FuzzParse(f *testing.F) {
	f.Add("000100020000000001000011")
	f.Add("")
	s := book(f).Slot(1)
	f.Fuzz(func(t *testing.T, text string) {
		k, ok := Parse(text)
		if ok && k.String() != text {
			t.Fatalf("%q became %v", text, k)
		}
		if s.Begin(k, 0) || s.Withdraw(k) || s.State(k) != Unknown {
			t.Fatalf("%q is a ticket", text)
		}
	})
}
