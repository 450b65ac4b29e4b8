package ipc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"
)

// FuzzDecode: whatever bytes come, there is a frame or a ProtocolError, and a frame means one thing only.
func FuzzDecode(f *testing.F) {
	for _, fr := range fixtures(f) {
		b, err := appendFrame(nil, fr)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, m := range malformed() {
		f.Add(append([]byte(head(uint32(len(m.body)), byte(m.typ), 0)), m.body...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for len(data) >= headerLen {
			h, err := parseHeader(data)
			var pe *ProtocolError
			if err != nil {
				if !errors.As(err, &pe) {
					t.Fatalf("%T: %v", err, err)
				}
				return
			}
			if len(data) < headerLen+h.length {
				return
			}
			body := data[headerLen : headerLen+h.length]
			data = data[headerLen+h.length:]
			fr, err := decode(h.typ, body, nil)
			if err != nil {
				if !errors.As(err, &pe) || len(err.Error()) > 8<<10 {
					t.Fatalf("%T of %d bytes: %.200s", err, len(err.Error()), err)
				}
				return
			}
			if fr == nil {
				if h.typ.known() {
					t.Fatalf("%s gave nothing", h.typ)
				}
				continue
			}
			again, err := appendFrame(nil, fr)
			if err != nil {
				t.Fatalf("%#v cannot be encoded: %v", fr, err)
			}
			if body[0] != '{' || h.typ >= TypeSet && h.typ <= TypeReply {
				if !bytes.Equal(again[headerLen:], body) {
					t.Fatalf("%s % x became % x", h.typ, body, again[headerLen:])
				}
			}
			back, err := decode(h.typ, again[headerLen:], nil)
			if err != nil {
				t.Fatalf("%#v cannot be decoded again: %v", fr, err)
			}
			third, err := appendFrame(nil, back)
			if err != nil || !bytes.Equal(third, again) {
				t.Fatalf("not stable: %q, %q, %v", again, third, err)
			}
		}
	})
}

// FuzzRoundTrip: whatever a program sends is refused at once or arrives as it was.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint8(5), uint64(1), uint64(2), "key", "text", []byte("payload"), int64(3), true)
	f.Add(uint8(10), uint64(1<<63), uint64(0), "", "a\xff", []byte(nil), int64(-1), false)
	f.Fuzz(func(t *testing.T, typ uint8, id, epoch uint64, s, u string, data []byte, n int64, flag bool) {
		if len(data) > InlineMax {
			data = data[:InlineMax]
		}
		p, d := newHeapPayload(data), time.Duration(n)
		all := []Frame{
			Hello{int(n), int(id >> 1), clip(s), clip(u), id, epoch, WorkerState(clip(u)), int(n), int(int8(id)), epoch},
			Snapshot{epoch, int(n)},
			Assign{Slot: int(n), Seat: int(int8(id)), DrainDelay: d, DrainTimeout: time.Duration(id >> 1), Listeners: []Listener{}, Files: []*os.File{}},
			Ready{},
			Set{id, epoch, s, time.Unix(n>>8, int64(id>>40)), p},
			Delete{id, epoch, s},
			Ack{epoch},
			Message{s, p},
			Call{id, s, d, p},
			Reply{id, u, p},
			Drain{clip(u), flag, !flag, d, time.Duration(id >> 1)},
			Bye{clip(u), int(n)},
			Standby{},
			Wake{},
			Inner{Address: clip(s)},
			Tickets{App: s},
		}
		fr := all[int(typ)%len(all)]
		b, err := appendFrame(nil, fr)
		if err != nil {
			return
		}
		if len(b) > headerLen+MaxFrame || int(binary.BigEndian.Uint32(b)) != len(b)-headerLen {
			t.Fatalf("%d bytes, header % x", len(b), b[:headerLen])
		}
		h, err := parseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(h.typ, b[headerLen:], nil)
		if err != nil {
			t.Fatalf("%#v: %v", fr, err)
		}
		if !sameFrame(t, fr, back) {
			t.Fatalf("sent %#v, got %#v", fr, back)
		}
	})
}
