package ipc

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRefusedToSend: a mistake is an error at the sender and names the value.
func TestRefusedToSend(t *testing.T) {
	long := strings.Repeat("k", MaxKey+1)
	for _, c := range []struct {
		f    Frame
		want string
	}{
		{nil, "nil frame"},
		{&Ready{}, "passed by value"},
		{Set{}, "key of 0 bytes"},
		{Set{Key: long}, "key of 256 bytes, 1 to 255"},
		{Set{Key: "a\xff"}, "not UTF-8"},
		{Set{Key: "a", ChangedAt: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)}, "outside the years"},
		{Delete{Key: long}, "key of 256"},
		{Message{}, "topic of 0 bytes"},
		{Call{Method: long}, "method of 256"},
		{Call{Method: "m", Timeout: -1}, "timeout is -1 ns"},
		{Snapshot{Count: -1}, "count is -1"},
		{Snapshot{Count: MaxSets + 1}, "count is 1048577"},
		{Hello{PID: -1}, "PID is -1"},
		{Hello{Slot: -1}, "slot is -1"},
		{Hello{Seat: Seats}, "seat is 2, 0 to 1"},
		{Bye{Cut: -3}, "is -3"},
		{Drain{Delay: -1}, "delay is -1"},
		{Assign{Slot: -1}, "slot is -1"},
		{Assign{Listeners: []Listener{{"tcp", ":1"}}}, "1 listeners with 0 descriptors"},
		{Assign{Files: []*os.File{nil}}, "file 0 is nil"},
		{Assign{Listeners: []Listener{{"udp", ":1"}}, Files: []*os.File{os.Stdin}}, `network "udp"`},
		{Assign{Listeners: []Listener{{"tcp", ""}}, Files: []*os.File{os.Stdin}}, "address of listener 0 has 0 bytes"},
		{Assign{Seat: -1}, "seat is -1, 0 to 1"},
		{Assign{Seat: Seats}, "seat is 2, 0 to 1"},
		{Assign{Board: true}, "board is true, but its files are there: false and false"},
		{Assign{Hot: os.Stdin, Rows: os.Stdin}, "board is false, but its files are there: true and true"},
		{Assign{Board: true, Hot: os.Stdin}, "true and false"},
		{Assign{Board: true, Rows: os.Stdin}, "false and true"},
		{Assign{Board: true, Hot: os.Stdin, Rows: os.Stdin, Slot: MaxSlots}, "slot is 1024, a board has slots 0 to 1023"},
		{Assign{Board: true, Hot: os.Stdin, Rows: os.Stdin, Files: []*os.File{os.Stdin}}, "0 listeners and a board with 3 descriptors"},
		{Assign{Board: true, Hot: os.Stdin, Rows: os.Stdin, Files: slices.Repeat([]*os.File{os.Stdin}, MaxFDs-1),
			Listeners: slices.Repeat([]Listener{{"tcp", ":1"}}, MaxFDs-1)}, "65 descriptors, at most 64"},
		{Assign{Listeners: make([]Listener, MaxFDs+1), Files: make([]*os.File, MaxFDs+1)}, "file 0 is nil"},
	} {
		b, err := appendFrame([]byte("x"), c.f)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%#v: error %v, wanted one with %q", c.f, err, c.want)
		}
		if string(b) != "x" {
			t.Errorf("%#v: left %d bytes behind", c.f, len(b)-1)
		}
	}
}

// TestLongTexts: a reason may come from anywhere, so it is made fit instead of refused.
func TestLongTexts(t *testing.T) {
	bad := "a\xffb" + strings.Repeat("é", MaxText)
	for _, f := range []Frame{Hello{Library: bad, App: bad}, Drain{Reason: bad}, Bye{Reason: bad}, Reply{Error: bad}} {
		b, err := appendFrame(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(f.frameType(), b[headerLen:], nil)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := back.(Reply); ok && (len(r.Error) > MaxText || len(r.Error) < MaxText-3 || !strings.HasPrefix(r.Error, "a\uFFFDbéé")) {
			t.Errorf("error of %d bytes: %.20q", len(r.Error), r.Error)
		}
		Discard(back)
	}
}

func TestTimesRoundTrip(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 1), time.Unix(0, -1), time.Unix(math.MaxInt64/1_000_000_000-1, 999999999), time.Unix(math.MinInt64/1_000_000_000+1, 0)} {
		b, err := appendFrame(nil, Set{Key: "k", ChangedAt: at})
		if err != nil {
			t.Fatal(err)
		}
		f, err := decode(TypeSet, b[headerLen:], nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.(Set).ChangedAt; !got.Equal(at) || got.IsZero() != at.IsZero() {
			t.Errorf("%s came back as %s", at, got)
		}
	}
}

// malformed are bodies that must be refused, with a part of what the error says.
func malformed() []struct {
	typ  Type
	body string
	want string
} {
	uv := func(n uint64) string { return string(binary.AppendUvarint(nil, n)) }
	at := strings.Repeat("\x00", 8)
	return []struct {
		typ  Type
		body string
		want string
	}{
		{TypeHello, "", "not a JSON object"},
		{TypeHello, "null", "not a JSON object"},
		{TypeHello, `{"pid":"x"}`, "cannot unmarshal"},
		{TypeHello, `{"pid":-1}`, "PID is -1"},
		{TypeHello, `{} {}`, "invalid character"},
		{TypeHello, strings.Repeat(`{"a":`, 12000), "body of 60000 bytes"},
		{TypeSnapshot, `{"count":-1}`, "count is -1"},
		{TypeSnapshot, `{"count":1e9}`, "cannot unmarshal"},
		{TypeSnapshot, `{"count":1000000000}`, "count is 1000000000"},
		{TypeAssign, `{"listeners":[{"network":"tcp","address":":1"}]}`, "1 listeners with 0 descriptors"},
		{TypeAssign, `{"slot":-1}`, "slot is -1"},
		{TypeAssign, `{"drain_delay_ns":-1}`, "drain delay is -1"},
		{TypeAssign, `{"seat":2}`, "seat is 2"},
		{TypeAssign, `{"board":true}`, "0 listeners and a board with 0 descriptors"},
		{TypeAssign, `{"board":true,"slot":1024}`, "slot is 1024"},
		{TypeAssign, `{"board":1}`, "cannot unmarshal"},
		{TypeReady, "", "not a JSON object"},
		{TypeSet, "", "ends inside id"},
		{TypeSet, "\x80", "ends inside id"},
		{TypeSet, "\x80\x00", "more than it needs"},
		{TypeSet, strings.Repeat("\xff", 11), "over 64 bits"},
		{TypeSet, uv(1) + uv(2) + "\x00", "ends inside time"},
		{TypeSet, uv(1) + uv(2) + at, "ends inside key"},
		{TypeSet, uv(1) + uv(2) + at + uv(0) + "\x00", "key of 0 bytes"},
		{TypeSet, uv(1) + uv(2) + at + uv(256) + strings.Repeat("k", 256) + "\x00", "key of 256 bytes"},
		{TypeSet, uv(1) + uv(2) + at + uv(1<<63) + "k\x00", "key of 9223372036854775808 bytes"},
		{TypeSet, uv(1) + uv(2) + at + uv(5) + "key", "key of 5 bytes, but only 3"},
		{TypeSet, uv(1) + uv(2) + at + uv(1) + "\xff\x00", "not UTF-8"},
		{TypeSet, uv(1) + uv(2) + at + uv(1) + "k", "ends before the payload"},
		{TypeSet, uv(1) + uv(2) + at + uv(1) + "k\x02", "payload kind 2"},
		{TypeSet, uv(1) + uv(2) + at + uv(1) + "k\x01", "ends inside payload length"},
		{TypeSet, uv(1) + uv(2) + at + uv(1) + "k\x01" + uv(0), "payload of 0 bytes in a descriptor"},
		{TypeSet, uv(1) + uv(2) + at + uv(1) + "k\x01" + uv(MaxPayload+1), "payload of 1073741825 bytes in a descriptor"},
		{TypeSet, uv(1) + uv(2) + at + uv(1) + "k\x01" + uv(1<<20), "with 0 descriptors"},
		{TypeMessage, uv(1) + "t\x00" + strings.Repeat("x", InlineMax+1), "inline payload of 65537 bytes"},
		{TypeDelete, uv(1) + uv(2) + uv(1) + "kx", "1 bytes after its end"},
		{TypeAck, "", "ends inside epoch"},
		{TypeAck, "\x01\x02", "1 bytes after its end"},
		{TypeCall, uv(1) + uv(1<<63) + uv(1) + "m\x00", "timeout is 9223372036854775808 ns"},
		{TypeReply, uv(1) + uv(MaxText+1) + strings.Repeat("e", MaxText+1) + "\x00", "error of 4097 bytes"},
		{TypeDrain, `{"delay_ns":-5}`, "delay is -5"},
		{TypeDrain, `{"delay_ns":1.5}`, "cannot unmarshal"},
		{TypeStandby, "", "not a JSON object"},
		{TypeWake, "", "not a JSON object"},
		{TypeInner, "", "not a JSON object"},
		{TypeInner, `{"address":"` + strings.Repeat("a", 256) + `"}`, "address of 256 bytes"},
		{TypeTickets, `{}`, "app of 0 bytes"},
		{TypeBye, `{"cut":-1}`, "is -1"},
		{TypeBye, `[]`, "not a JSON object"},
	}
}

func TestMalformedBodies(t *testing.T) {
	for _, c := range malformed() {
		f, err := decode(c.typ, []byte(c.body), nil)
		var pe *ProtocolError
		if !errors.As(err, &pe) || pe.Frame != c.typ.String() || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.40q: %#v, error %v, wanted one with %q", c.typ, c.body, f, err, c.want)
		}
		if err != nil && len(err.Error()) > 2*MaxKey*4 {
			t.Errorf("%s: error of %d bytes", c.typ, len(err.Error()))
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		wire string
		want string
	}{
		{"\x00\x00\x00\x00\x04\x00\x00\x00", ""},
		{"\x00\x01\x20\x00\x05\x40\x00\x00", ""},
		{"\x00\x00\x00\x00\xff\x00\x00\x00", ""},
		{"\x00\x01\x20\x01\x05\x00\x00\x00", "body of 73729 bytes (set), at most 73728"},
		{"\xff\xff\xff\xff\x63\x00\x00\x00", "body of 4294967295 bytes (type 99)"},
		{"\x00\x00\x00\x00\x00\x00\x00\x00", "type 0"},
		{"\x00\x00\x00\x00\x03\x41\x00\x00", "65 descriptors (assign), at most 64"},
		{"\x00\x00\x00\x00\x03\x00\x00\x01", "reserved bytes are 0x0001 (assign)"},
	} {
		_, err := parseHeader([]byte(c.wire))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: error %v, wanted %q", c.wire, err, c.want)
		}
	}
}

// TestUnknownFieldsAndTypes: both are how a newer peer adds things.
func TestUnknownFieldsAndTypes(t *testing.T) {
	f, err := decode(TypeBye, []byte(`{"cut":2,"colour":{"deep":[1,2]}}`), nil)
	if err != nil || f.(Bye).Cut != 2 {
		t.Errorf("unknown field: %#v, %v", f, err)
	}
	f, err = decode(Type(200), []byte("whatever"), nil)
	if f != nil || err != nil {
		t.Errorf("unknown type: %#v, %v", f, err)
	}
}
