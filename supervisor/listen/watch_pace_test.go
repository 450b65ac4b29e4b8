package listen

import (
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
)

func TestPace(t *testing.T) {
	decides := circumstances{decides: true, sockets: 4}
	counted := circumstances{sockets: 4}
	for _, c := range []struct {
		name string
		c    circumstances
		do   func(s *scene) // before the second look
		then time.Duration  // of no change, before the last look
		next time.Duration
		arm  bool
	}{
		{"begins", decides, nil, 0, tickLoad, true},
		{"rests", decides, nil, time.Second, 0, true},
		{"rests", counted, nil, time.Second, 0, true},
		{"accepts", decides, func(s *scene) { s.accept(0, 1) }, 0, tickFast, false},
		{"accepts, and all is well", circumstances{decides: true, calm: true, sockets: 4}, func(s *scene) { s.accept(0, 1) }, 0, tickCalm, false},
		{"accepts", counted, func(s *scene) { s.accept(0, 1) }, 0, tickLoad, false},
		{"accepted", decides, func(s *scene) { s.accept(0, 1) }, 240 * time.Millisecond, tickFast, false},
		{"accepted a while ago", decides, func(s *scene) { s.accept(0, 1) }, 250 * time.Millisecond, tickLoad, true},
		{"accepted long ago", decides, func(s *scene) { s.accept(0, 1) }, time.Second, 0, true},
		{"requests on open connections", decides, func(s *scene) { s.busy(0, 1) }, 0, tickLoad, true},
		{"a long request", decides, func(s *scene) { s.busy(0, 1) }, time.Second, tickQuiet, true},
		{"a long request", counted, func(s *scene) { s.busy(0, 1) }, time.Second, tickQuiet, true},
		{"open connections", counted, func(s *scene) { s.views[0].seats[1].open = 1 }, time.Second, tickQuiet, true},
		{"a queue that stands", decides, func(s *scene) { s.views[1].queue = 1 }, time.Minute, tickLoad, false},
		{"a shared queue", circumstances{shared: 1}, nil, time.Minute, tickLoad, false},
		{"half-open", circumstances{unsettled: true}, nil, time.Minute, tickLoad, false},
		{"more were closed than opened", counted, func(s *scene) { s.views[0].seats[0] = seatView{worker: 1, held: -9 * ipc.Weight, open: -9} }, time.Second, 0, true},
		{"many slots", circumstances{decides: true, sockets: 256}, func(s *scene) { s.accept(0, 1) }, 0, 2 * tickFast, false},
		{"very many slots", circumstances{decides: true, sockets: 1024}, func(s *scene) { s.accept(0, 1) }, 0, 8 * tickFast, false},
		{"rang", circumstances{decides: true, rang: true}, nil, 0, tickFast, false},
	} {
		var p pace
		s := newScene(2)
		s.look(0)
		p.look(s.now, s.tracks, circumstances{})
		if c.do != nil {
			c.do(s)
		}
		s.look(tickFast)
		next, arm := p.look(s.now, s.tracks, c.c)
		if c.then > 0 {
			s.look(c.then)
			next, arm = p.look(s.now, s.tracks, c.c)
		}
		if next != c.next || arm != c.arm {
			t.Errorf("%s (%+v): %s, %v; want %s, %v", c.name, c.c, next, arm, c.next, c.arm)
		}
	}
}
