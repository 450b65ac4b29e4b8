package snapshot

import (
	"sync"
	"testing"

	"github.com/tinehq/tine/ipc"
)

// TestReaderWaitsForTheTurn: what the loop has done in a turn is in what a reader gets that has seen a sign of it.
func TestReaderWaitsForTheTurn(t *testing.T) {
	var p Published
	m, over := p.Current()
	if m != nil || over == nil {
		t.Fatalf("before the first turn has ended: %v", m)
	}
	if !p.Wanted() {
		t.Error("the loop does not see that a reader waits")
	}
	if _, second := p.Current(); second != over {
		t.Error("two readers wait for two things")
	}
	first := &Master{Name: "first"}
	p.Publish(first)
	if m, _ := p.Current(); m != nil {
		t.Error("a reader does not wait for the end of the turn")
	}
	p.End()
	<-over
	if m, _ := p.Current(); m != first || p.Wanted() {
		t.Errorf("after the turn: %v", m)
	}
	p.Begin()
	p.End() // nothing has changed
	if m, _ := p.Current(); m != first {
		t.Errorf("after a turn without a change: %v", m)
	}
}

// TestNoReaderMissesTheEnd: whatever the order in which a turn ends and a reader comes, the reader goes on, and sees what was
// told before it came.
func TestNoReaderMissesTheEnd(t *testing.T) {
	var p Published
	told := make(chan *Master) // as an answer, or a line of the log
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for sign := range told {
				m, over := p.Current()
				if over != nil {
					<-over
					m = p.Newest()
				}
				if m.StartedAt.Before(sign.StartedAt) {
					t.Errorf("%v, though %v was told", m.StartedAt, sign.StartedAt)
				}
			}
		})
	}
	m := &Master{}
	for range 20_000 {
		p.Begin()
		m = &Master{StartedAt: m.StartedAt.Add(1)}
		select {
		case told <- m:
		default:
		}
		p.Publish(m)
		p.End()
	}
	close(told)
	readers.Wait()
}

// TestSeatOutlivesItsRow: readers go on, under way and later, when the memory is unmapped.
func TestSeatOutlivesItsRow(t *testing.T) {
	board, err := ipc.NewBoard()
	if err != nil {
		t.Fatal(err)
	}
	row := board.Row(3, 1)
	row.Reset(7)
	row.Classes[2].Add(5)
	row.Opened.Add(2)
	row.Begin(ipc.Monotonic())
	seat := Take(row)
	if l := seat.Load(); l.InFlight != 1 || l.Open != 2 || l.Stats.Requests != 5 || l.Oldest <= 0 {
		t.Errorf("%+v", l)
	}
	begun, end := make(chan struct{}, 4), make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for n := 0; ; n++ {
				if l := seat.Load(); l.Stats.Requests != 5 {
					t.Errorf("%+v", l)
				}
				if n == 100 {
					begun <- struct{}{}
				}
				select {
				case <-end:
					if l := seat.Load(); l.InFlight != 0 || l.Open != 0 || l.Stats.Requests != 5 {
						t.Errorf("after the end: %+v", l)
					}
					return
				default:
				}
			}
		})
	}
	for range 4 {
		<-begun
	}
	if last := seat.Leave(); last.Requests != 5 || last.Closed != 2 || seat.Leave() != last {
		t.Errorf("%+v", last)
	}
	if err := board.Close(); err != nil {
		t.Fatal(err)
	}
	close(end)
	readers.Wait()
}
