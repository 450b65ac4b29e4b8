package worker

import (
	"net/http"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/tinehq/tine/ipc"
)

// classOf returns the class of the answer. The handler must have returned. It is ipc.ClassUnknown for a hijacked
// connection, and for a ResponseWriter that is not net/http's.
//
// It reads the field in which net/http keeps the status, for HTTP/1 and HTTP/2. A ResponseWriter around net/http's
// would tell too, and would hide what the program may ask of the original: flushing, hijacking, sendfile. Should a
// version of Go name its fields differently, the class is unknown and nothing else changes.
func classOf(rw http.ResponseWriter) int {
	s := shapeOf(reflect.TypeOf(rw))
	if s == nil || !s.known {
		return ipc.ClassUnknown
	}
	p := reflect.ValueOf(rw).UnsafePointer()
	if s.nested && p != nil {
		p = *(*unsafe.Pointer)(unsafe.Add(p, s.inner))
	}
	if p == nil {
		return ipc.ClassUnknown
	}
	status := *(*int)(unsafe.Add(p, s.status))
	if status == 0 && !s.hijacked(p) {
		status = http.StatusOK // the handler said nothing, which net/http makes 200 of
	}
	return ipc.Class(status)
}

// shape says where a type of net/http keeps its status, as reflect found it: names and types of all fields on the way
// were what is expected. Numbers are offsets in bytes.
type shape struct {
	typ       reflect.Type
	known     bool
	nested    bool    // typ points to a struct that points, at inner, to the one with the others
	inner     uintptr // *struct
	status    uintptr // int
	hijacks   bool    // the struct has conn, and that has hijackedv
	conn      uintptr // *struct
	hijackedv uintptr // bool: the connection was hijacked
}

// shapes are those that were seen. net/http has two; a program that has more of its own gets ipc.ClassUnknown for them.
var shapes [4]atomic.Pointer[shape]

func shapeOf(t reflect.Type) *shape {
	for i := range shapes {
		s := shapes[i].Load()
		if s == nil {
			s = newShape(t)
			if !shapes[i].CompareAndSwap(nil, s) {
				s = shapes[i].Load()
			}
		}
		if s.typ == t {
			return s
		}
	}
	return nil
}

func newShape(t reflect.Type) *shape {
	s := &shape{typ: t}
	in, ok := pointee(t)
	if !ok || in.PkgPath() != "net/http" && in.PkgPath() != "golang.org/x/net/http2" {
		return s
	}
	if f, ok := in.FieldByName("rws"); ok {
		if in, ok = pointee(f.Type); !ok || len(f.Index) != 1 {
			return s
		}
		s.nested, s.inner = true, f.Offset
	}
	f, ok := in.FieldByName("status")
	if !ok || len(f.Index) != 1 || f.Type.Kind() != reflect.Int {
		return s
	}
	s.known, s.status = true, f.Offset
	if c, ok := in.FieldByName("conn"); ok && len(c.Index) == 1 {
		if to, ok := pointee(c.Type); ok {
			if h, ok := to.FieldByName("hijackedv"); ok && len(h.Index) == 1 && h.Type.Kind() == reflect.Bool {
				s.hijacks, s.conn, s.hijackedv = true, c.Offset, h.Offset
			}
		}
	}
	return s
}

// pointee is the struct that t points to.
func pointee(t reflect.Type) (reflect.Type, bool) {
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return nil, false
	}
	return t.Elem(), true
}

func (s *shape) hijacked(p unsafe.Pointer) bool {
	if !s.hijacks {
		return false
	}
	c := *(*unsafe.Pointer)(unsafe.Add(p, s.conn))
	return c != nil && *(*bool)(unsafe.Add(c, s.hijackedv))
}
