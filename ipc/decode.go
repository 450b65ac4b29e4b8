package ipc

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"time"
	"unicode/utf8"
)

// header is the fixed part before each body.
type header struct {
	length int
	typ    Type
	fds    int
}

// parseHeader judges b[:headerLen] before anything is done by what it says.
func parseHeader(b []byte) (header, error) {
	length := binary.BigEndian.Uint32(b)
	h := header{typ: Type(b[4]), fds: int(b[5])}
	if length > MaxFrame {
		return h, violation("header", "body of %d bytes (%s), at most %d", length, h.typ, MaxFrame)
	}
	h.length = int(length)
	if h.typ == 0 {
		return h, violation("header", "type 0")
	}
	if h.fds > MaxFDs {
		return h, violation("header", "%d descriptors (%s), at most %d", h.fds, h.typ, MaxFDs)
	}
	if z := binary.BigEndian.Uint16(b[6:]); z != 0 {
		return h, violation("header", "reserved bytes are %#04x (%s), 0 is needed", z, h.typ)
	}
	return h, nil
}

// decode makes a frame of a body and its descriptors, which it owns from here on: they are part of the frame or closed.
// A type that this version does not know gives nil without an error.
func decode(t Type, body []byte, fds []int) (Frame, error) {
	d := decoder{name: t.String(), rest: body, fds: fds}
	f := d.frame(t)
	if d.err == nil && f != nil {
		if len(d.rest) > 0 {
			d.fail("%d bytes after its end", len(d.rest))
		} else if len(d.fds) > 0 {
			d.fail("%d descriptors more than it needs", len(d.fds))
		}
	}
	closeAll(d.fds)
	if d.err != nil {
		if f != nil {
			Discard(f)
		}
		return nil, d.err
	}
	return f, nil
}

// decoder reads fields one after the other; after the first problem all others read as zero.
type decoder struct {
	name string
	rest []byte
	fds  []int
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = violation(d.name, format, args...)
	}
	d.rest = nil
}

func (d *decoder) failIf(err error) {
	if err != nil {
		d.fail("%v", err)
	}
}

func (d *decoder) frame(t Type) Frame {
	switch t {
	case TypeHello:
		var f Hello
		d.json(&f)
		d.failIf(validate(f))
		return f
	case TypeSnapshot:
		var f Snapshot
		d.json(&f)
		d.failIf(checkCount(f.Count))
		return f
	case TypeAssign:
		return d.assign()
	case TypeReady:
		d.json(&struct{}{})
		return Ready{}
	case TypeStandby:
		d.json(&struct{}{})
		return Standby{}
	case TypeWake:
		d.json(&struct{}{})
		return Wake{}
	case TypeSet:
		f := Set{ID: d.uvarint("id"), Epoch: d.uvarint("epoch"), ChangedAt: d.time(), Key: d.key("key")}
		f.Payload = d.payload()
		return f
	case TypeDelete:
		return Delete{ID: d.uvarint("id"), Epoch: d.uvarint("epoch"), Key: d.key("key")}
	case TypeAck:
		return Ack{Epoch: d.uvarint("epoch")}
	case TypeMessage:
		f := Message{Topic: d.key("topic")}
		f.Payload = d.payload()
		return f
	case TypeCall:
		f := Call{ID: d.uvarint("id"), Timeout: d.duration("timeout"), Method: d.key("method")}
		f.Payload = d.payload()
		return f
	case TypeReply:
		f := Reply{ID: d.uvarint("id"), Error: d.string("error", 0, MaxText)}
		f.Payload = d.payload()
		return f
	case TypeDrain:
		var w wireDrain
		d.json(&w)
		f := Drain(w)
		d.failIf(validate(f))
		return f
	case TypeBye:
		var f Bye
		d.json(&f)
		d.failIf(validate(f))
		return f
	case TypeInner:
		var w wireInner
		d.json(&w)
		f := Inner{Address: w.Address, File: d.file("inner socket " + clip(w.Address))}
		d.failIf(validate(f))
		return f
	case TypeTickets:
		var w wireTickets
		d.json(&w)
		f := Tickets{App: w.App, File: d.file("tickets of " + clip(w.App))}
		d.failIf(validate(f))
		return f
	}
	return nil
}

// file is the one descriptor of a frame; nil: it has none.
func (d *decoder) file(name string) *os.File {
	if d.err != nil || len(d.fds) == 0 {
		return nil
	}
	f := os.NewFile(uintptr(d.fds[0]), name)
	d.fds = d.fds[1:]
	return f
}

func (d *decoder) assign() Frame {
	var w wireAssign
	d.json(&w)
	d.failIf(checkAssign(w, len(d.fds)))
	f := Assign{
		Slot: w.Slot, Seat: w.Seat, Board: w.Board, Listeners: w.Listeners, DrainDelay: w.DrainDelay, DrainTimeout: w.DrainTimeout,
	}
	if d.err != nil {
		return f
	}
	for i, l := range w.Listeners {
		f.Files = append(f.Files, os.NewFile(uintptr(d.fds[i]), l.Network+" "+l.Address))
	}
	if w.Board {
		board := d.fds[len(w.Listeners):]
		f.Hot, f.Rows = os.NewFile(uintptr(board[0]), "board's lines"), os.NewFile(uintptr(board[1]), "board's rows")
	}
	d.fds = nil
	return f
}

func (d *decoder) json(v any) {
	if d.err != nil {
		return
	}
	if len(d.rest) == 0 || d.rest[0] != '{' {
		d.fail("body of %d bytes is not a JSON object", len(d.rest))
		return
	}
	if err := json.Unmarshal(d.rest, v); err != nil {
		d.fail("body of %d bytes: %v", len(d.rest), err)
	}
	d.rest = nil
}

func (d *decoder) uvarint(what string) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.rest)
	switch {
	case n == 0:
		d.fail("ends inside %s", what)
		return 0
	case n < 0:
		d.fail("%s is over 64 bits", what)
		return 0
	case n > 1 && d.rest[n-1] == 0:
		d.fail("%s %d is written in %d bytes, more than it needs", what, v, n)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) time() time.Time {
	if d.err != nil {
		return time.Time{}
	}
	if len(d.rest) < 8 {
		d.fail("ends inside time of change")
		return time.Time{}
	}
	ns := int64(binary.BigEndian.Uint64(d.rest))
	d.rest = d.rest[8:]
	if ns == 0 {
		return time.Time{}
	}
	t := time.Unix(0, ns)
	d.failIf(checkTime(t))
	return t
}

func (d *decoder) duration(what string) time.Duration {
	v := d.uvarint(what)
	if v > 1<<63-1 {
		d.fail("%s is %d ns, at most %d", what, v, int64(1<<63-1))
		return 0
	}
	return time.Duration(v)
}

func (d *decoder) key(what string) string { return d.string(what, 1, MaxKey) }

func (d *decoder) string(what string, least, most uint64) string {
	n := d.uvarint(what)
	if d.err != nil {
		return ""
	}
	if n < least || n > most {
		d.fail("%s of %d bytes, %d to %d are allowed", what, n, least, most)
		return ""
	}
	if n > uint64(len(d.rest)) {
		d.fail("%s of %d bytes, but only %d are left", what, n, len(d.rest))
		return ""
	}
	s := d.rest[:n]
	if !utf8.Valid(s) {
		d.fail("%s %q is not UTF-8", what, s)
		return ""
	}
	d.rest = d.rest[n:]
	return string(s)
}

// payload is the last field of its frame, so an inline one needs no length.
func (d *decoder) payload() *Payload {
	if d.err != nil {
		return nil
	}
	if len(d.rest) == 0 {
		d.fail("ends before the payload")
		return nil
	}
	kind := d.rest[0]
	d.rest = d.rest[1:]
	switch kind {
	case payloadInline:
		if len(d.rest) > InlineMax {
			d.fail("inline payload of %d bytes, at most %d", len(d.rest), InlineMax)
			return nil
		}
		p := newHeapPayload(d.rest)
		d.rest = nil
		return p
	case payloadMapped:
		n := d.uvarint("payload length")
		if d.err != nil {
			return nil
		}
		if n == 0 || n > MaxPayload {
			d.fail("payload of %d bytes in a descriptor, 1 to %d are allowed", n, MaxPayload)
			return nil
		}
		if len(d.fds) != 1 {
			d.fail("payload in a descriptor with %d descriptors, 1 is needed", len(d.fds))
			return nil
		}
		fd := d.fds[0]
		if err := verifySegment(fd, int64(n)); err != nil {
			d.fail("payload of %d bytes: %v", n, err)
			return nil
		}
		d.fds = nil
		return newSegmentPayload(fd, int(n), nil)
	}
	d.fail("payload kind %d", kind)
	return nil
}
