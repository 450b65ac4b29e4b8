package launch

import (
	"os"
	"sync"
	"syscall"

	"github.com/tinehq/tine/supervisor/proc"
)

// KeptPin begins the name of a release's file in the store: the rest is the text of its [proc.FileID]. Each file is stored
// once, however many releases have it.
const KeptPin = "pin."

const (
	// maxPins bounds the descriptors of all releases. A program that does not fit is started from its path, as it is on disk
	// by then; `tine describe` shows it.
	maxPins = 128
	// pinShare lowers that bound to a sixteenth of RLIMIT_NOFILE.
	pinShare = 16
)

// Pins are the files of all releases, held open here and in the store, so that a release stays what it was when its path
// leads to another file. A file of several releases is held once. Safe for concurrent use.
type Pins struct {
	store pinStore // nil: there is none
	most  int
	// Open opens the file at path and tells which one it is: [proc.Pin], unless a test sets another before the first use.
	Open func(path string) (*os.File, proc.FileID, error)

	mu   sync.Mutex      // the loop takes it too: whatever holds it must not wait for a disk
	Held map[string]*Pin // by name; for tests, while nothing else uses the pins
}

// pinStore keeps files for the next master, by name.
type pinStore interface {
	Store(name string, files ...*os.File) error
	Remove(name string) error
}

// Pin is one file that releases hold open.
type Pin struct {
	Name  string // in the store
	file  *os.File
	users int // releases that have it
}

// NewPins returns pins that are also put into store, or only held here if store is nil.
func NewPins(store pinStore) *Pins {
	p := &Pins{store: store, most: maxPins, Open: proc.Pin, Held: map[string]*Pin{}}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		p.most = int(min(uint64(p.most), limit.Cur/pinShare))
	}
	return p
}

// hold opens the file at path, or uses the one that is open. It returns nil if path leads to another file than id by now, if
// too many are held, or if the system cannot open it. The caller releases the pin. hold waits for the disk, without mu.
func (p *Pins) hold(path string, id *proc.FileID, folder bool) *Pin {
	if id == nil {
		return nil
	}
	p.mu.Lock()
	h, room := p.find(id, folder)
	p.mu.Unlock()
	if h != nil || !room {
		return h
	}
	f, now, err := p.Open(path)
	if err != nil {
		return nil
	}
	if now != *id {
		f.Close()
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if h, room = p.find(id, folder); h != nil || !room { // another goroutine has opened some meanwhile
		f.Close()
		return h
	}
	name := KeptPin + id.String()
	h = &Pin{Name: name, file: f, users: 1}
	p.Held[name] = h
	if p.store != nil {
		_ = p.store.Store(name, f) // if it fails, the next master starts from the path
	}
	return h
}

// find returns the pin of a file that is open, with one more user, or reports whether there is room to open it. mu is held.
func (p *Pins) find(id *proc.FileID, folder bool) (h *Pin, room bool) {
	if h := p.Held[KeptPin+id.String()]; h != nil {
		h.users++
		return h, true
	}
	n := len(p.Held)
	return nil, n < p.most && (!folder || n < p.most/2) // programs matter more
}

// Inherit returns the pin of a file that the last master has left in files, by name, or that is held already; nil if there is
// none or it is another file. It waits for no disk. It duplicates the descriptor; files stay the caller's.
func (p *Pins) Inherit(id *proc.FileID, files map[string][]*os.File) *Pin {
	if id == nil {
		return nil
	}
	name := KeptPin + id.String()
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.Held[name]; h != nil {
		h.users++
		return h
	}
	if len(files[name]) == 0 {
		return nil
	}
	f, now, err := proc.Repin(files[name][0])
	if err != nil {
		return nil
	}
	if !now.Same(*id) {
		f.Close()
		return nil
	}
	h := &Pin{Name: name, file: f, users: 1}
	p.Held[name] = h
	return h
}

// release ends one use of a pin: it is called once for each hold and Inherit that returned it. The last one removes it
// from the store. The garbage collector closes the file, as a start may still be using it.
func (p *Pins) release(h *Pin) {
	if h == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.users--; h.users > 0 {
		return
	}
	delete(p.Held, h.Name)
	if p.store != nil {
		_ = p.store.Remove(h.Name)
	}
}

// Holds reports whether a release has the file of that name.
func (p *Pins) Holds(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Held[name] != nil
}

// Each calls f for each file, in no order, until f returns an error, which it returns. f must not wait, and must not call
// methods of p.
func (p *Pins) Each(f func(name string, file *os.File) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, h := range p.Held {
		if err := f(name, h.file); err != nil {
			return err
		}
	}
	return nil
}

func (h *Pin) open() *os.File {
	if h == nil {
		return nil
	}
	return h.file
}
