package worker

import (
	"net/http"
	"reflect"
	"sync/atomic"

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
	if s == nil || s.status < 0 {
		return ipc.ClassUnknown
	}
	v := reflect.ValueOf(rw).Elem()
	if s.inner >= 0 {
		if v = v.Field(s.inner); v.IsNil() {
			return ipc.ClassUnknown
		}
		v = v.Elem()
	}
	status := int(v.Field(s.status).Int())
	if status == 0 && !s.hijacked(v) {
		status = http.StatusOK // the handler said nothing, which net/http makes 200 of
	}
	return ipc.Class(status)
}

// shape says where a type keeps its status. Numbers are indices of fields; -1: there is no such field.
type shape struct {
	typ    reflect.Type
	inner  int // pointer to the struct with the others; -1: it is the type itself
	status int
	conn   int // pointer to a struct with flag
	flag   int // true when the connection was hijacked
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
	s := &shape{typ: t, inner: -1, status: -1, conn: -1, flag: -1}
	in, ok := pointee(t)
	if !ok || in.PkgPath() != "net/http" && in.PkgPath() != "golang.org/x/net/http2" {
		return s
	}
	if f, ok := in.FieldByName("rws"); ok {
		if in, ok = pointee(f.Type); !ok {
			return s
		}
		s.inner = f.Index[0]
	}
	f, ok := in.FieldByName("status")
	if !ok || len(f.Index) != 1 || f.Type.Kind() != reflect.Int {
		return s
	}
	s.status = f.Index[0]
	if c, ok := in.FieldByName("conn"); ok {
		if to, ok := pointee(c.Type); ok {
			if h, ok := to.FieldByName("hijackedv"); ok && len(h.Index) == 1 && h.Type.Kind() == reflect.Bool {
				s.conn, s.flag = c.Index[0], h.Index[0]
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

func (s *shape) hijacked(v reflect.Value) bool {
	if s.flag < 0 {
		return false
	}
	c := v.Field(s.conn)
	return !c.IsNil() && c.Elem().Field(s.flag).Bool()
}
