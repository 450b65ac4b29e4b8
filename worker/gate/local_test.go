package gate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/tickets"
)

func newBook(t testing.TB) *tickets.Book {
	t.Helper()
	b, err := tickets.Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// local are options of the gateway's worker with an ID, whose members m0, m1, ... are the slots of a book.
func local(b *tickets.Book, id uint64, o Options) Options {
	o.Owner = tickets.OwnerOf(id)
	o.Local = func(m *members.Member) *tickets.Slot {
		n := -1
		fmt.Sscanf(m.ID, "m%d", &n)
		return b.Slot(n)
	}
	return o
}

// TestLocalLimit: by every way two gateways together never have more at a worker than its limit, whichever ends first, and what has ended
// makes room.
func TestLocalLimit(t *testing.T) {
	t.Parallel()
	for _, way := range Ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			limited := table(3, func(i int, m *members.Member) { m.MaxInFlight = i + 1 })
			gateways := []*Picker{picker(t, local(b, 1, Options{Way: way}), limited), picker(t, local(b, 2, Options{Way: way}), limited)}
			var picks []Pick
			fill := func() {
				t.Helper()
				for i := 0; ; i++ {
					k, err := gateways[i%2].Pick(Request{Now: second, Key: fmt.Sprint(i)})
					if errors.Is(err, ErrFull) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if _, ok := k.Ticket(); !ok || k.State() != tickets.Sent {
						t.Fatalf("a local member is picked without a ticket: %v", k.State())
					}
					picks = append(picks, k)
				}
				if len(picks) != 6 || b.Slot(0).Taken(1) != 1 || b.Slot(1).Taken(2) != 2 || b.Slot(2).Taken(3) != 3 {
					t.Fatalf("%d requests at once: %d, %d and %d", len(picks), b.Slot(0).Taken(0), b.Slot(1).Taken(0), b.Slot(2).Taken(0))
				}
			}
			fill()
			k := picks[0]
			ticket, _ := k.Ticket()
			slot := gateways[0].options.Local(k.Member())
			if !slot.Begin(ticket, 0) {
				t.Fatal("the ticket does not begin")
			}
			k.Release() // its client has gone, and the handler runs on
			if _, err := gateways[1].Pick(Request{Now: second}); !errors.Is(err, ErrFull) {
				t.Errorf("a request more than the limit: %v", err)
			}
			slot.End(ticket, 0)
			picks = picks[1:]
			fill()
			picks[0].Release()
			picks = picks[1:]
			fill()
			for _, k := range picks {
				k.Done(second+1, Answered)
			}
			for i := range 3 {
				if n := b.Slot(i).Taken(0); n != 0 {
					t.Errorf("member %d: %d are left", i, n)
				}
			}
		})
	}
}

// TestLocalLoad: what another gateway has sent, and what came to a worker directly, counts at once.
func TestLocalLoad(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	mine, other := picker(t, local(b, 1, Options{Way: Least}), table(3)), picker(t, local(b, 2, Options{Way: First}), table(3))
	mustPick(t, other, Request{Now: second}) // at m0
	b.Slot(1).AddDirect(0, 2)
	for i := range 3 {
		b.Slot(i).Beat(0, false)
	}
	now := ipc.Monotonic()
	for i, want := range []string{"m2", "m0 m2", "m0 m2", "m0 m1 m2"} {
		if got := mustPick(t, mine, Request{Now: now}).Member().ID; !strings.Contains(want, got) {
			t.Errorf("pick %d is %s, want %s", i, got, want)
		}
	}
}

// TestLocalStopped: a worker that has requests and does not beat is passed over as long as another runs.
func TestLocalStopped(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p := picker(t, local(b, 1, Options{Way: First}), table(2))
	mustPick(t, p, Request{Now: second})
	now := ipc.Monotonic()
	if k := mustPick(t, p, Request{Now: now}); k.Member().ID != "m1" {
		t.Errorf("picked %s", k.Member().ID)
	}
	if r := p.Explain(now)[0]; r.Picks || !strings.Contains(r.Text, "no sign of life") {
		t.Errorf("it is explained so: %+v", r)
	}
	if k := mustPick(t, p, Request{Now: now}); k.Member().ID != "m0" {
		t.Errorf("when no worker runs %s is picked", k.Member().ID)
	}
	b.Slot(1).Beat(0, false)
	if k := mustPick(t, p, Request{Now: ipc.Monotonic()}); k.Member().ID != "m1" {
		t.Errorf("picked %s, and m1 runs", k.Member().ID)
	}
}

// TestInstead: a request that has not begun may go to a worker that runs and has fewer requests, unless it belongs where it is.
func TestInstead(t *testing.T) {
	t.Parallel()
	now := ipc.Monotonic()
	r := Request{Now: now}
	b := newBook(t)
	limited := table(3, func(i int, m *members.Member) { m.MaxInFlight = 2 })
	p := picker(t, local(b, 1, Options{Way: First}), limited)
	k := mustPick(t, p, r)
	better, ok := p.Instead(r, k)
	if !ok || better.Member().ID == "m0" || !k.Withdraw() || k.State() != tickets.Withdrawn {
		t.Fatalf("%v, %v", better, ok)
	}
	if _, ok := p.Instead(Request{Now: now, Tried: []Pick{better}, Prefer: "m0"}, k); ok {
		t.Error("a request goes away from the member that it asks for")
	}
	third, ok := p.Instead(Request{Now: now, Tried: []Pick{better}}, k)
	if !ok {
		t.Fatal("the third member is not found")
	}
	b.Slot(1).Beat(0, false)
	b.Slot(2).Beat(0, false)
	r.Now = ipc.Monotonic()
	if _, ok := p.Instead(r, k); ok {
		t.Error("a request goes to a worker that has as many")
	}
	third.Release()
	if one, ok := p.Instead(r, k); !ok || one.Member().ID != third.Member().ID {
		t.Error("a request stays, and another worker has none")
	} else {
		one.Release()
	}
	mustPick(t, p, r).Release()
	ticket, _ := better.Ticket()
	b.Slot(0).Release(ticket) // of another slot: nothing
	better.Release()
	for _, s := range []int{1, 2} {
		b.Slot(s).AddDirect(0, 5)
	}
	if _, ok := p.Instead(r, k); ok {
		t.Error("direct requests do not count")
	}
	byKey := picker(t, local(b, 1, Options{Way: Rendezvous}), table(3))
	if _, ok := byKey.Instead(r, mustPick(t, byKey, r)); ok {
		t.Error("a request goes away from the member of its key")
	}
	plain := picker(t, Options{}, table(3))
	k = mustPick(t, plain, r)
	if _, ok := plain.Instead(r, k); ok || k.Withdraw() || k.State() != tickets.Unknown {
		t.Error("a request at a member without tickets is taken back")
	}
}

// TestLocalRubbish: a member whose memory is full of rubbish, though it does not look so, has no place, and Pick ends.
func TestLocalRubbish(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	p := picker(t, local(b, 1, Options{Way: Least}), table(2))
	for range tickets.Rows {
		if _, ok := b.Slot(0).Reserve(9, 0); !ok {
			t.Fatal("no row")
		}
	}
	if _, err := b.File().WriteAt(make([]byte, 8), 4096); err != nil { // the hint of m0: it seems to have none
		t.Fatal(err)
	}
	if k := mustPick(t, p, Request{Now: second}); k.Member().ID != "m1" {
		t.Errorf("picked %s", k.Member().ID)
	}
	for range tickets.Rows - 1 {
		mustPick(t, p, Request{Now: second})
	}
	if _, err := p.Pick(Request{Now: second}); !errors.Is(err, ErrFull) {
		t.Errorf("no row is free: %v", err)
	}
}

func TestLocalNeedsAnOwner(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Local: func(*members.Member) *tickets.Slot { return nil }}); err == nil {
		t.Error("local workers without an owner")
	}
}

// BenchmarkPickLocal is a pick and its release at one of four local workers.
func BenchmarkPickLocal(b *testing.B) {
	for _, limit := range []int{0, 8} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			p := picker(b, local(newBook(b), 1, Options{Way: Least}), table(4, func(i int, m *members.Member) { m.MaxInFlight = limit }))
			b.ReportAllocs()
			for b.Loop() {
				k, err := p.Pick(Request{Now: second})
				if err != nil {
					b.Fatal(err)
				}
				k.Release()
			}
		})
	}
}
