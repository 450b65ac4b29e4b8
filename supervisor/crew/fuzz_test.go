package crew

import (
	"context"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/talk"
)

// frameOf makes a frame of any kind of a byte, also of kinds that no worker sends.
func frameOf(t *testing.T, b byte) ipc.Frame {
	text := func() *ipc.Payload { return encoded(t, string(rune('a'+b%3))) }
	key := []string{"", "a", "b"}[int(b)/16%3]
	switch b % 14 {
	case 0:
		return ipc.Hello{Protocol: int(b)/14%3 - 1 + int(b)/100, State: []ipc.WorkerState{"", ipc.StateReady, ipc.StateStarting, ipc.StateStandby, ipc.StateDraining, "new"}[int(b)/14%6], Slot: int(b) - 20}
	case 1:
		return ipc.Standby{}
	case 2:
		return ipc.Wake{}
	case 3:
		return ipc.Ready{}
	case 4:
		return ipc.Set{ID: uint64(b), Key: key, Payload: text()}
	case 5:
		return ipc.Delete{ID: uint64(b), Key: key}
	case 6:
		return ipc.Message{Topic: key, Payload: text()}
	case 7:
		return ipc.Call{ID: uint64(b), Method: []string{"echo", "none"}[int(b)/14%2], Payload: text()}
	case 8:
		return ipc.Reply{ID: uint64(b) / 14, Payload: text()}
	case 9:
		return ipc.Bye{Reason: "done", Cut: int(b) / 100}
	case 10:
		return ipc.Assign{Slot: int(b)}
	case 11:
		return ipc.Drain{Reason: "none"}
	case 12:
		return ipc.Ack{Epoch: uint64(b)}
	}
	return nil // a fact that is no frame: see FuzzFrames
}

// FuzzFrames: whatever a worker sends in whatever order, the master does not panic, and before a hello it changes no value, calls no
// function of the program and answers nothing.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{3}, false, false)
	f.Add([]byte{14, 4, 5, 7, 7, 3, 9, 9, 3}, false, false)
	f.Add([]byte{28, 13, 14, 1, 3, 6, 8, 10}, true, true)
	f.Add([]byte{114, 13, 27, 0, 114, 0}, true, false)
	f.Fuzz(func(t *testing.T, sent []byte, standby, adopted bool) {
		if len(sent) > 64 {
			return
		}
		s := newStage(t)
		set, err := listen.Open(nil, 1, listen.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		s.app.Sockets = NewSockets(set)
		s.app.Sockets.Use()
		s.launch = func(*Starter, context.Context, *Worker, *launch.Generation) {} // a replacement never starts
		for _, ev := range []pool.Event{pool.Start{}, pool.Spawned{ID: 1, PID: 11}} {
			s.app.Pool.Step(time.Now(), ev)
		}
		s.m.Talk, s.m.Adopted = talk.State{Channel: talk.Introduced}, adopted
		if standby {
			s.m.Slot = -1
		}
		for _, b := range sent {
			frame := frameOf(t, b)
			before, posted, epoch := s.m.Talk, len(s.loop.posted), s.values.Epoch()
			if frame == nil {
				switch b / 14 % 3 {
				case 0:
					s.doLater()
				case 1:
					s.channelEnded(s.m, handle.ChannelEnded{Conn: s.conn})
				default:
					s.Exited(s.m, handle.Exited{Exit: proc.Exit{Code: int(b)}})
				}
			} else {
				s.frame(s.m, frame)
			}
			for _, m := range s.loop.posted[posted:] { // the answers of calls
				m.Act(s.Crew)
			}
			if !before.Hello() && (s.values.Epoch() != epoch || len(s.loop.posted) != posted) {
				t.Fatalf("%T had an effect before the hello", frame)
			}
			if _, hello := frame.(ipc.Hello); !hello && frame != nil && !before.Hello() && s.m.Talk.Life != before.Life {
				t.Fatalf("%T in %v: %v", frame, before, s.m.Talk)
			}
		}
	})
}
