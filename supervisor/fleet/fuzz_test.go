package fleet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

// FuzzFleet: whatever happens in whatever order, each table can be read by a gateway, its epoch grows, a report in it is the newest of
// its member and not too old, ejections never take the last of a type, and the deadline lies ahead.
func FuzzFleet(f *testing.F) {
	f.Add(uint64(1), []byte("lists and reports and failures"))
	f.Add(uint64(7), []byte{0, 0, 1, 2, 3, 4, 4, 4, 4, 4, 5, 6, 7, 4, 4, 4})
	f.Fuzz(func(t *testing.T, seed uint64, events []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		fleet := New(Options{SlowStart: time.Duration(r.IntN(3)) * time.Second, Failures: 1 + r.IntN(3), Fall: 1 + r.IntN(2), Panic: float64(r.IntN(3)-1) / 2})
		now := time.Unix(1e9, 0)
		id := func() string { return fmt.Sprint("m", r.IntN(6)) }
		epoch := uint64(0)
		for _, b := range events {
			now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
			var ev Event
			switch b % 9 {
			case 0:
				e := Listed{Source: fmt.Sprint("s", r.IntN(2))}
				for range r.IntN(6) {
					e.Members = append(e.Members, members.Member{ID: id(), Type: fmt.Sprint(r.IntN(2)), Address: "h:1", Weight: float64(r.IntN(3)), State: members.States[r.IntN(4)]})
				}
				ev = e
			case 1:
				ev = Silent{fmt.Sprint("s", r.IntN(2)), "why"}
			case 2:
				e := Reported{id(), members.Report{Epoch: uint64(r.IntN(3)), Sequence: uint64(r.IntN(5))}}
				ev = e
			case 3:
				ev = Checked{ID: id(), OK: r.IntN(2) == 0}
			case 4, 5:
				ev = Outcome{ID: id(), Failed: r.IntN(3), Answered: r.IntN(4) / 3}
			case 6:
				ev = Drain{ID: id(), Undo: r.IntN(2) == 0}
			case 7:
				share := float64(r.IntN(3)) / 2
				ev = Advised{ID: id(), Weight: &share, Mode: []members.State{"", members.Ready, members.Draining, members.Down}[r.IntN(4)], Health: []members.State{"", members.Ready, members.Down}[r.IntN(3)]}
			default:
				ev = Tick{}
			}
			if r.IntN(20) == 0 {
				fleet.Use(Options{SlowStart: time.Duration(r.IntN(3)) * 5 * time.Second, Failures: 1 + r.IntN(3), Panic: float64(r.IntN(3)) / 2})
			}
			for _, e := range fleet.Step(now, ev) {
				p, ok := e.(Publish)
				if !ok {
					_ = describe(e)
					continue
				}
				if p.Table.Epoch <= epoch {
					t.Fatalf("epoch %d after %d", p.Table.Epoch, epoch)
				}
				epoch = p.Table.Epoch
				text, err := members.Encode(p.Table)
				if err == nil {
					_, err = members.Decode(text)
				}
				if err != nil {
					t.Fatal(err)
				}
				ejected, others := map[string]bool{}, map[string]bool{}
				for _, m := range p.Table.Members {
					switch {
					case m.Weight == 0:
					case m.State == members.Ejected:
						ejected[m.Type] = true
					case m.State == members.Ready:
						others[m.Type] = true
					}
					known := fleet.members[m.ID]
					if m.Report != nil && (m.Report != known.last || !now.Before(known.reportUntil)) {
						t.Fatalf("%s has a report that does not count: %+v", m.ID, m.Report)
					}
				}
				for kind := range ejected {
					if !others[kind] {
						t.Fatalf("type %s: all are ejected in %s", kind, describe(p))
					}
				}
			}
			if at := fleet.Deadline(); !at.IsZero() && !at.After(now) {
				t.Fatalf("deadline %s at %s after %T", at, now, ev)
			}
		}
	})
}
