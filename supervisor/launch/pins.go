package launch

import (
	"os"
	"sync"
	"syscall"

	"github.com/tinehq/tine/supervisor/proc"
)

// KeptPin are the programs and folders of releases in the store, each once: pin.FILE, FILE as proc.FileID has it.
const KeptPin = "pin."

const (
	// maxPins bounds the descriptors that releases cost in all; it is less where there are few. A program that does not fit
	// is started as it is on disk, which describe tells.
	maxPins = 128
	// pinShare is the share of the descriptors that this process may have.
	pinShare = 16
)

// Pins are the files that releases are made of, held open, here and in the store, so that a release is what it was whatever
// becomes of its path. One that several releases have is held once. It may be used by several goroutines.
type Pins struct {
	store pinStore // nil: there is none
	most  int
	Open  func(path string) (*os.File, proc.FileID, error)

	mu   sync.Mutex      // the loop takes it too: nobody who holds it waits for a disk
	Held map[string]*Pin // by name
}

// pinStore keeps files for the next master, by name.
type pinStore interface {
	Store(name string, files ...*os.File) error
	Remove(name string) error
}

type Pin struct {
	Name  string
	file  *os.File
	users int
}

func NewPins(store pinStore) *Pins {
	p := &Pins{store: store, most: maxPins, Open: proc.Pin, Held: map[string]*Pin{}}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		p.most = int(min(uint64(p.most), limit.Cur/pinShare))
	}
	return p
}

// hold opens the file at path, or uses the one that is open; nil: it is another one than id by now, there are too many, or the
// system cannot. The caller releases it. It waits for the disk, and so does nobody else meanwhile.
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
	if h, room = p.find(id, folder); h != nil || !room { // others have opened some meanwhile
		f.Close()
		return h
	}
	name := KeptPin + id.String()
	h = &Pin{Name: name, file: f, users: 1}
	p.Held[name] = h
	if p.store != nil {
		_ = p.store.Store(name, f) // else a later master has the path
	}
	return h
}

// find uses the one that is open, and says whether there is room for one more. mu is held.
func (p *Pins) find(id *proc.FileID, folder bool) (h *Pin, room bool) {
	if h := p.Held[KeptPin+id.String()]; h != nil {
		h.users++
		return h, true
	}
	n := len(p.Held)
	return nil, n < p.most && (!folder || n < p.most/2) // programs matter more
}

// Inherit uses what the last master has left of a file.
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

// share is hold for what is held already; nil: it is not.
func (p *Pins) share(id *proc.FileID) *Pin { return p.Inherit(id, nil) }

// release is called once for each hold and inherit. The last one takes it out of the store. The file is closed when nobody
// starts from it any more, which the garbage collector finds.
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

// Holds says whether a release has the file of that name.
func (p *Pins) Holds(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Held[name] != nil
}

// Each calls f for all of them.
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
