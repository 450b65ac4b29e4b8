package slots

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/listen"
)

// scene is what a look sees.
type scene struct {
	sights  []listen.Sight
	lost    []int
	renewed int // attempts
}

func (s *scene) Look([]listen.Sight) []listen.Sight { return append([]listen.Sight(nil), s.sights...) }

func (s *scene) LookInner() []int { return s.lost }

func (s *scene) Renew(int) (*listen.Renewal, error) {
	s.renewed++
	return nil, errors.New("it is in use")
}

// TestLookPostsChangesOnly, and what is told of them is the address and the reason.
func TestLookPostsChangesOnly(t *testing.T) {
	at := listen.Address{Network: "tcp", Addr: "127.0.0.1:80"}
	s, of := &scene{}, &Sockets{}
	for _, step := range []struct {
		sights []listen.Sight
		news   bool
		told   []Reach
	}{
		{nil, false, nil},
		{[]listen.Sight{{Address: at}}, true, nil},
		{[]listen.Sight{{Address: at}}, false, nil},
		{[]listen.Sight{{Address: at, Why: "no interface has it"}}, true, []Reach{{at, "no interface has it"}}},
		{[]listen.Sight{{Address: at, Why: "no interface has it"}}, false, nil},
		{[]listen.Sight{{Address: at, Why: "another process has it"}}, true, []Reach{{at, "another process has it"}}},
		{[]listen.Sight{{Address: at, Why: "gone", Lost: true}}, true, []Reach{{at, "gone: it is in use"}}},
		{[]listen.Sight{{Address: at}}, true, []Reach{{at, ""}}},
	} {
		s.sights = step.sights
		k, news := of.lookout.look(s, time.Now())
		if news != step.news {
			t.Fatalf("%+v: news %v, want %v", step.sights, news, step.news)
		}
		if !news {
			continue
		}
		told := of.Tell(k)
		if len(told) != len(step.told) || len(told) > 0 && told[0] != step.told[0] {
			t.Errorf("%+v: told %+v, want %+v", step.sights, told, step.told)
		}
		if sights := of.Sights(); len(sights) != 1 {
			t.Errorf("%+v: sights %+v", step.sights, sights)
		}
	}
}

// TestSocketIsTriedInItsPace: as long as the same is in the way it is not tried at each look, and what else is in the way is tried at
// once.
func TestSocketIsTriedInItsPace(t *testing.T) {
	at := listen.Address{Network: "unix", Addr: "/run/web.sock"}
	s, o := &scene{sights: []listen.Sight{{Address: at, Why: "the file is gone", Lost: true}}}, &lookout{}
	now := time.Now()
	for range 60 { // looks, one a second
		o.look(s, now)
		now = now.Add(time.Second)
	}
	if want := 60 * int(time.Second) / int(renewEvery); s.renewed != want {
		t.Errorf("tried %d times within a minute, want %d", s.renewed, want)
	}
	if sight := o.seen[0]; sight.Why != "the file is gone: it is in use" {
		t.Errorf("between two attempts the reason is %q, want that of the last one", sight.Why)
	}
	before := s.renewed
	o.look(s, now) // due
	s.sights[0].Why = "it is the socket of another process"
	o.look(s, now.Add(time.Second))
	if tried := s.renewed - before; tried != 2 {
		t.Errorf("tried %d times, want once for each reason", tried)
	}
}

// TestLookMakesAFileAgain that was removed. A Looked that is not installed gives up what it has made.
func TestLookMakesAFileAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	s := open(t, listen.Address{Network: "unix", Addr: path})
	var looks sync.WaitGroup
	look := func(take bool) (news []Looked) {
		s.StartLook(looks.Go, func(k Looked) bool {
			news = append(news, k)
			return take
		})
		looks.Wait()
		return news
	}
	look(true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if news := look(false); len(news) != 1 || len(news[0].renewed) != 1 {
		t.Fatalf("a look at a file that is gone posts %+v, want one that was made again", news)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a file that was not installed is there: %v", err)
	}
	news := look(true)
	if len(news) != 1 {
		t.Fatalf("the next look posts %+v, want the file made again", news)
	}
	mended := s.Install(news[0])
	if len(mended) != 1 || mended[0].Err != nil {
		t.Fatalf("mended %+v, want one socket", mended)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	if told := s.Tell(news[0]); len(told) != 0 {
		t.Errorf("told %+v of an address that is reachable", told)
	}
}

// TestOneLookAtATime: a look that hangs has no second one beside it.
func TestOneLookAtATime(t *testing.T) {
	s := open(t, loopback)
	var looks sync.WaitGroup
	hangs, ended := make(chan struct{}), make(chan struct{})
	s.StartLook(looks.Go, func(Looked) bool { close(hangs); <-ended; return true })
	<-hangs
	s.StartLook(func(func()) { t.Error("a second look has begun") }, nil)
	close(ended)
	looks.Wait()
	begun := false
	s.StartLook(func(func()) { begun = true }, nil)
	if !begun {
		t.Error("no look after the first one")
	}
}

// A look that finds inner sockets lost is told of each time, with what was seen of the addresses before.
func TestLookFindsLostInnerSockets(t *testing.T) {
	at := listen.Address{Network: "tcp", Addr: "127.0.0.1:80"}
	s, of := &scene{sights: []listen.Sight{{Address: at}}}, &Sockets{}
	k, _ := of.lookout.look(s, time.Now())
	of.Tell(k)
	s.lost = []int{2}
	for range 2 {
		k, news := of.lookout.look(s, time.Now())
		if !news || len(k.Lost) != 1 || k.Lost[0] != 2 {
			t.Errorf("news %t, lost %v", news, k.Lost)
		}
		if told := of.Tell(k); len(told) != 0 || len(of.Sights()) != 1 {
			t.Errorf("told %v of the addresses, and seen %v", told, of.Sights())
		}
	}
}
