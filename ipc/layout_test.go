package ipc

import (
	"testing"
	"unsafe"
)

// TestLayout: the kernel's program and workers in other languages rely on each of these numbers.
func TestLayout(t *testing.T) {
	var (
		h Header
		l Line
		r Row
	)
	for _, c := range []struct {
		what      string
		got, want uintptr
	}{
		{"Header", unsafe.Sizeof(h), 192},
		{"Header.Picked", unsafe.Offsetof(h.Picked), 24},
		{"Header.Refused", unsafe.Offsetof(h.Refused), 32},
		{"Header.Last", unsafe.Offsetof(h.Last), 40},
		{"Header.Full", unsafe.Offsetof(h.Full), 48},
		{"Header.StaleAfter", unsafe.Offsetof(h.StaleAfter), 56},
		{"Header.Asleep", unsafe.Offsetof(h.Asleep), 128},
		{"Line", unsafe.Sizeof(l), LineBytes},
		{"Line.Assigned", unsafe.Offsetof(l.Assigned), 0},
		{"Line.Accepted", unsafe.Offsetof(l.Accepted), 8},
		{"Line.Released", unsafe.Offsetof(l.Released), 24},
		{"Line.AcceptedAt", unsafe.Offsetof(l.AcceptedAt), 40},
		{"Line.Flags", unsafe.Offsetof(l.Flags), 48},
		{"Row", unsafe.Sizeof(r), RowBytes},
		{"Row.Started", unsafe.Offsetof(r.Started), 8},
		{"Row.Heartbeat", unsafe.Offsetof(r.Heartbeat), 64},
		{"Row.Heap", unsafe.Offsetof(r.Heap), 96},
		{"Row.Opened", unsafe.Offsetof(r.Opened), 128},
		{"Row.Late", unsafe.Offsetof(r.Late), 144},
		{"Row.Classes", unsafe.Offsetof(r.Classes), 200},
		{"Row.Sent", unsafe.Offsetof(r.Sent), 248},
		{"Row.Cells", unsafe.Offsetof(r.Cells), 1024},
		{"Row.Histogram", unsafe.Offsetof(r.Histogram), 2048},
		{"Buckets", Buckets, 208},
		{"BoardBytes", BoardBytes, 81920},
		{"RowsBytes", uintptr(RowsBytes), 8 << 20},
	} {
		if c.got != c.want {
			t.Errorf("%s is at or has %d bytes, wanted %d", c.what, c.got, c.want)
		}
	}
}
