package tickets

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func book(t testing.TB) *Book {
	t.Helper()
	b, err := Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// reserved is a new ticket of a slot.
func reserved(t testing.TB, s *Slot, owner Owner, limit int) Ticket {
	t.Helper()
	k, ok := s.Reserve(owner, limit)
	if !ok {
		t.Fatalf("no row of %d is free", limit)
	}
	return k
}

func opened(t testing.TB, b *Book) *Book {
	t.Helper()
	f, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}
