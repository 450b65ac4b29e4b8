package values

import (
	"time"

	"github.com/tinehq/tine/supervisor/cache"
)

// Found is what there is under a key.
type Found struct {
	Known  bool              // there is something: a value, or a source that has given none yet
	Status cache.ValueStatus // of it
	Data   []byte            // a copy of the value; nil: there is none
	Err    error             // why the value cannot be read
	Keys   []string          // all that there are, if this one is not
}

// Look is for a copy of a value. Answer has room for one.
type Look struct {
	Key    string
	Answer chan<- Found
}

// Act answers. A value is copied in another goroutine, so that the loop does not wait for a large one.
func (m Look) Act(v *Values) {
	f := v.found(m.Key)
	p, ok := v.Get(m.Key)
	if !ok {
		m.Answer <- f
		return
	}
	p = p.Retain()
	v.loop.Go(func() {
		defer p.Release()
		b, err := p.Bytes()
		f.Data, f.Err = append([]byte{}, b...), err
		m.Answer <- f
	})
}

// Forget deletes a value, if it is known. Answer, with room for one, gets what was there, without Data.
type Forget struct {
	Key    string
	Answer chan<- Found
}

// Act deletes and answers.
func (m Forget) Act(v *Values) {
	f := v.found(m.Key)
	if f.Known {
		_, f.Err = v.Unset(m.Key)
	}
	m.Answer <- f
}

func (v *Values) found(key string) (f Found) {
	known := v.Known()
	if f.Status, f.Known = known.Get(key, time.Now()); !f.Known {
		f.Keys = known.Keys()
	}
	return f
}
