package talk

import (
	"fmt"
	"testing"

	"github.com/tinehq/tine/ipc"
)

// frames has one of each kind. What no worker sends comes last.
var (
	sent = []ipc.Frame{
		ipc.Hello{Protocol: 1}, ipc.Standby{}, ipc.Ready{}, ipc.Wake{}, ipc.Set{}, ipc.Delete{}, ipc.Message{}, ipc.Call{}, ipc.Reply{}, ipc.Bye{},
	}
	notSent = []ipc.Frame{ipc.Assign{}, ipc.Drain{}, ipc.Ack{}}
	every   = append(append([]ipc.Frame{nil}, sent...), notSent...)
)

// states are all that there are.
func states() (all []State) {
	for c := Silent; c <= Talking; c++ {
		for l := Starting; l <= Gone; l++ {
			for p := Unplaced; p <= Placed; p++ {
				all = append(all, State{c, l, p})
			}
		}
	}
	return all
}

// TestFrames holds the table of doc.go: each frame in each state of the channel.
func TestFrames(t *testing.T) {
	const take, early, twice = "", "%T before its hello", "a second hello"
	const standing, ready, foreign = "standing by before the snapshot was sent", "ready before its hello or before the snapshot was sent", "a worker does not send %T"
	others := [4]string{early, early, take, take}
	want := map[string][4]string{ // by frame: what is said of it in each state of the channel
		"ipc.Hello": {take, take, twice, twice}, "ipc.Standby": {early, early, standing, take}, "ipc.Ready": {early, early, ready, take},
		"ipc.Wake": others, "ipc.Set": others, "ipc.Delete": others, "ipc.Message": others, "ipc.Call": others, "ipc.Reply": others, "ipc.Bye": others,
		"ipc.Assign": {early, early, foreign, foreign}, "ipc.Drain": {early, early, foreign, foreign}, "ipc.Ack": {early, early, foreign, foreign},
	}
	for _, f := range append(append([]ipc.Frame{}, sent...), notSent...) {
		row, ok := want[fmt.Sprintf("%T", f)]
		if !ok {
			t.Fatalf("%T has no row", f)
		}
		for c := Silent; c <= Talking; c++ {
			text := row[c]
			if text == early || text == foreign {
				text = fmt.Sprintf(text, f)
			}
			verdict, why := State{Channel: c}.Hear(f, false, -1)
			if why != text || (verdict == Break) != (text != take) {
				t.Errorf("%T in channel %d: %d, %q; want %q", f, c, verdict, why, text)
			}
		}
	}
}

// TestFramesThatSayNothingNew are passed over, and those of an adopted worker may come sooner.
func TestFramesThatSayNothingNew(t *testing.T) {
	for _, c := range []struct {
		name    string
		in      State
		frame   ipc.Frame
		adopted bool
		slot    int
		want    Verdict
		why     string
	}{
		{"a standby", State{Channel: Talking}, ipc.Standby{}, false, -1, Take, ""},
		{"a standby that has a slot by now", State{Channel: Talking}, ipc.Standby{}, false, 0, PassOver, ""},
		{"ready", State{Channel: Talking}, ipc.Ready{}, false, 0, Take, ""},
		{"ready again", State{Channel: Talking, Life: Ready}, ipc.Ready{}, false, 0, PassOver, ""},
		{"ready while it drains", State{Channel: Talking, Life: Draining}, ipc.Ready{}, false, 0, PassOver, ""},
		{"ready for the first time while it drains", State{Channel: Talking, Life: Quitting}, ipc.Ready{}, false, 0, Take, ""},
		{"adopted, ready without the values", State{Channel: Hailed}, ipc.Ready{}, true, 0, Take, ""},
		{"adopted, ready without the values again", State{Channel: Hailed, Life: Ready}, ipc.Ready{}, true, 0, PassOver, ""},
		{"adopted, ready without a hello", State{Channel: Introduced}, ipc.Ready{}, true, 0, Break, "ipc.Ready before its hello"},
		{"adopted, standing by without the values", State{Channel: Hailed}, ipc.Standby{}, true, -1, Break, "standing by before the snapshot was sent"},
		{"no protocol", State{}, ipc.Hello{Protocol: 0}, false, 0, Break, "protocol version 0"},
		{"no protocol, for a second time", State{Channel: Hailed}, ipc.Hello{Protocol: 0}, false, 0, Break, "a second hello"},
		{"bye again", State{Channel: Talking, Life: Left}, ipc.Bye{}, false, 0, Take, ""},
		{"nothing", State{Channel: Talking}, nil, false, 0, Break, "a worker does not send <nil>"},
	} {
		if got, why := c.in.Hear(c.frame, c.adopted, c.slot); got != c.want || why != c.why {
			t.Errorf("%s: %d, %q; want %d, %q", c.name, got, why, c.want, c.why)
		}
	}
}

// TestEvents: each event in each state changes one part of it, and what it says afterwards fits what it was.
func TestEvents(t *testing.T) {
	for _, s := range states() {
		for ev := range events {
			n := s
			n.Step(ev)
			parts := 0
			for _, changed := range []bool{n.Channel != s.Channel, n.Life != s.Life, n.Place != s.Place} {
				if changed {
					parts++
				}
			}
			again := n
			if again.Step(ev); again != n {
				t.Errorf("event %d in %v: %v, and again: %v", ev, s, n, again)
			}
			gone := s.Life == Gone || ev == ExitSeen
			for _, c := range []struct {
				name      string
				got, want bool
			}{
				{"changes one part at most", parts <= 1, true},
				{"Hello", n.Hello(), ev == HelloHeard || s.Hello() && ev != ChannelRenewed},
				{"Subscribed", n.Subscribed(), ev == ValuesSent || s.Subscribed() && ev != ChannelEnded && ev != ChannelRenewed},
				{"WasReady", n.WasReady(), !gone && (ev == ReadyHeard || s.WasReady())},
				{"Drains", n.Drains(), !gone && (ev == DrainBegun || ev == ByeHeard || s.Drains())},
				{"HasLeft", n.HasLeft(), !gone && (ev == ByeHeard || s.HasLeft())},
				{"Serves", n.Serves(), n.WasReady() && !n.Drains()},
				{"Gone", n.Life == Gone, gone},
				{"Placed", n.Place == Placed, ev == SlotGiven || s.Place == Placed && ev != SlotLost && ev != SlotDelayed},
			} {
				if c.got != c.want {
					t.Errorf("event %d in %v: %v: %s is %v", ev, s, n, c.name, c.got)
				}
			}
		}
	}
}

// TestAdopted: what the record has of a worker is what is written to it again.
func TestAdopted(t *testing.T) {
	for _, ready := range []bool{false, true} {
		for _, drains := range []bool{false, true} {
			for _, left := range []bool{false, true} {
				s := Adopted(ready, drains, left)
				if s.WasReady() != ready || s.Drains() != (drains || left) || s.HasLeft() != left {
					t.Errorf("ready %v, drains %v, left %v: %v", ready, drains, left, s)
				}
			}
		}
	}
}

// FuzzTalk: whatever comes in whatever order, nothing but a hello is taken before a hello on the same channel, a worker is ready only
// with the values or as one that was adopted, and a life does not turn back.
func FuzzTalk(f *testing.F) {
	f.Add([]byte{0, 14, 15, 16}, false, 0)
	f.Add([]byte{15, 1, 14, 3, 20, 17}, true, -1)
	f.Fuzz(func(t *testing.T, steps []byte, adopted bool, slot int) {
		s, hello := State{}, false
		for _, b := range steps {
			n := int(b) % (len(every) + int(events))
			if n >= len(every) {
				ev := Event(n - len(every))
				switch ev { // which of them the worker brings about
				case HelloHeard, ReadyHeard, ByeHeard:
					continue
				case ChannelRenewed:
					hello = false
				}
				before := s.Life
				s.Step(ev)
				if s.Life < before {
					t.Fatalf("a life of %d became %d", before, s.Life)
				}
				continue
			}
			switch verdict, why := s.Hear(every[n], adopted, slot); {
			case (verdict == Break) != (why != ""):
				t.Fatalf("verdict %d, %q", verdict, why)
			case verdict != Take:
				continue
			}
			switch frame := every[n].(type) {
			case ipc.Hello:
				if hello {
					t.Fatal("a second hello was taken")
				}
				hello = true
				s.Step(HelloHeard)
			case ipc.Ready:
				if !s.Subscribed() && !adopted || s.WasReady() {
					t.Fatalf("ready in %v", s)
				}
				s.Step(ReadyHeard)
			case ipc.Standby:
				if !s.Subscribed() || slot >= 0 {
					t.Fatalf("a slot is given to a worker in %v, whose slot is %d", s, slot)
				}
			case ipc.Bye:
				s.Step(ByeHeard)
			case nil, ipc.Assign, ipc.Drain, ipc.Ack:
				t.Fatalf("%T was taken", frame)
			}
			if !hello {
				t.Fatalf("%T was taken before the hello", every[n])
			}
		}
	})
}
