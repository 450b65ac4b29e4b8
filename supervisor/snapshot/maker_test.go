package snapshot

import (
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/cache"
)

// subject is an app that has a number of workers.
type subject struct {
	drawn Drawn
	app   App
	open  bool
}

func (s *subject) Drawn() *Drawn { return &s.drawn }

// loop is one without a goroutine: it has apps, and counts what it was asked to make.
type loop struct {
	apps                []*subject
	drawn, heads, lists int
}

func (l *loop) Head() *Master    { l.heads++; return &Master{} }
func (l *loop) Apps() []*subject { return l.apps }
func (l *loop) Listed() (all []*subject) {
	l.lists++
	for _, s := range l.apps {
		if !s.app.Goes {
			all = append(all, s)
		}
	}
	return all
}

func (l *loop) Draw(s *subject) *App {
	if !s.open {
		return nil
	}
	l.drawn++
	a := s.app
	return &a
}

func newStage(n int) (*loop, *Published, *Maker[*subject]) {
	l, p := &loop{}, &Published{}
	for range n {
		l.apps = append(l.apps, &subject{open: true})
	}
	return l, p, NewMaker(p, l, cache.NewValues(func() (int, int) { return 8, 8 }))
}

// TestMakerSharesWhatHasNotChanged: a turn that touches one app makes one part anew.
func TestMakerSharesWhatHasNotChanged(t *testing.T) {
	l, p, k := newStage(3)
	k.EndTurn(true)
	before := p.Newest()
	if len(before.Apps) != 3 || len(before.Listed) != 3 || l.drawn != 3 {
		t.Fatalf("%+v of %+v", before, l)
	}
	p.Begin()
	k.EndTurn(true)
	if p.Newest() != before || l.heads != 1 {
		t.Error("a turn that has changed nothing made a Master")
	}
	p.Begin()
	l.apps[1].app.Crashes = 7
	k.Touch(l.apps[1])
	k.Touch(l.apps[1])
	k.EndTurn(true)
	after := p.Newest()
	for i := range 3 {
		if shared := after.Apps[i] == before.Apps[i]; shared != (i != 1) {
			t.Errorf("app %d is shared: %v", i, shared)
		}
	}
	if before.Apps[1].Crashes != 0 || after.Apps[1].Crashes != 7 || l.drawn != 4 || l.lists != 1 {
		t.Errorf("%d crashes before, %d after; %+v", before.Apps[1].Crashes, after.Apps[1].Crashes, l)
	}
}

// TestMakerLists: which apps are shown is looked at again when one comes, ends or goes, and one that is being opened is not shown.
func TestMakerLists(t *testing.T) {
	l, p, k := newStage(2)
	k.EndTurn(true)
	next := &subject{}
	k.Touch(next)
	k.EndTurn(true)
	if m := p.Newest(); len(m.Apps) != 2 || l.lists != 1 {
		t.Errorf("an app that is being opened is shown: %+v", m)
	}
	next.open = true
	l.apps = append(l.apps, next)
	k.EndTurn(true)
	if m := p.Newest(); len(m.Apps) != 3 || len(m.Listed) != 3 || l.lists != 2 {
		t.Errorf("a new app is not shown: %+v", m)
	}
	l.apps[0].app.Goes = true
	k.Touch(l.apps[0])
	k.EndTurn(true)
	if m := p.Newest(); len(m.Apps) != 3 || len(m.Listed) != 2 || m.Listed[0] != m.Apps[1] || l.lists != 3 {
		t.Errorf("an app that goes is listed: %+v", m)
	}
	l.apps = l.apps[1:]
	k.EndTurn(true)
	if m := p.Newest(); len(m.Apps) != 2 || l.lists != 4 {
		t.Errorf("an app that has gone is there: %+v", m)
	}
}

// TestMakerPauses: after a Master that took long the next one waits, unless a reader does.
func TestMakerPauses(t *testing.T) {
	_, p, k := newStage(1)
	k.EndTurn(true)
	before := p.Newest()
	k.due = time.Now().Add(time.Hour)
	p.Begin()
	k.Stale()
	if !k.EndTurn(false) || p.Newest() != before || !k.Deadline().Equal(k.due) {
		t.Error("a Master was made in the pause")
	}
	m, over := p.Current()
	if m != nil {
		t.Fatal("a reader is given a Master that lacks something")
	}
	if k.EndTurn(false) {
		t.Error("the reader has to wait for the next one")
	}
	select {
	case <-over:
	default:
		t.Fatal("a reader waits for the end of the pause")
	}
	if m, _ = p.Current(); m == before {
		t.Error("the reader is given the old Master")
	}
	if !k.Deadline().IsZero() {
		t.Error("another one is owed")
	}
}
