package supervisor

import (
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/tinehq/tine/supervisor/proc"
)

// keptPin are the programs and folders of releases in the store, each once: pin.FILE, FILE as proc.FileID has it.
const keptPin = "pin."

const (
	// maxPins bounds the descriptors that releases cost in all; it is less where there are few. A program that does not fit
	// is started as it is on disk, which describe tells.
	maxPins = 128
	// pinShare is the share of the descriptors that this process may have.
	pinShare = 16
)

// pins are the files that releases are made of, held open, here and in the store, so that a release is what it was whatever
// becomes of its path. One that several releases have is held once. It may be used by several goroutines.
type pins struct {
	store Store // nil: there is none
	most  int
	open  func(path string) (*os.File, proc.FileID, error)

	mu   sync.Mutex      // the loop takes it too: nobody who holds it waits for a disk
	held map[string]*pin // by name
}

type pin struct {
	name  string
	file  *os.File
	users int
}

func newPins(store Store) *pins {
	p := &pins{store: store, most: maxPins, open: proc.Pin, held: map[string]*pin{}}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		p.most = int(min(uint64(p.most), limit.Cur/pinShare))
	}
	return p
}

// hold opens the file at path, or uses the one that is open; nil: it is another one than id by now, there are too many, or the
// system cannot. The caller releases it. It waits for the disk, and so does nobody else meanwhile.
func (p *pins) hold(path string, id *proc.FileID, folder bool) *pin {
	if id == nil {
		return nil
	}
	p.mu.Lock()
	h, room := p.find(id, folder)
	p.mu.Unlock()
	if h != nil || !room {
		return h
	}
	f, now, err := p.open(path)
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
	name := keptPin + id.String()
	h = &pin{name: name, file: f, users: 1}
	p.held[name] = h
	if p.store != nil {
		_ = p.store.Store(name, f) // else a later master has the path
	}
	return h
}

// find uses the one that is open, and says whether there is room for one more. mu is held.
func (p *pins) find(id *proc.FileID, folder bool) (h *pin, room bool) {
	if h := p.held[keptPin+id.String()]; h != nil {
		h.users++
		return h, true
	}
	n := len(p.held)
	return nil, n < p.most && (!folder || n < p.most/2) // programs matter more
}

// inherit uses what the last master has left of a file.
func (p *pins) inherit(id *proc.FileID, files map[string][]*os.File) *pin {
	if id == nil {
		return nil
	}
	name := keptPin + id.String()
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.held[name]; h != nil {
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
	h := &pin{name: name, file: f, users: 1}
	p.held[name] = h
	return h
}

// share is hold for what is held already; nil: it is not.
func (p *pins) share(id *proc.FileID) *pin { return p.inherit(id, nil) }

// release is called once for each hold and inherit. The last one takes it out of the store. The file is closed when nobody
// starts from it any more, which the garbage collector finds.
func (p *pins) release(h *pin) {
	if h == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.users--; h.users > 0 {
		return
	}
	delete(p.held, h.name)
	if p.store != nil {
		_ = p.store.Remove(h.name)
	}
}

// each calls f for all of them.
func (p *pins) each(f func(name string, file *os.File) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, h := range p.held {
		if err := f(name, h.file); err != nil {
			return err
		}
	}
	return nil
}

func (h *pin) open() *os.File {
	if h == nil {
		return nil
	}
	return h.file
}

// holdReleases opens the files of releases that the last master could not hold, or that its store has lost, if they are still
// those. Each has a goroutine of its own, as it may be on a disk that hangs.
func (l *loop) holdReleases() {
	for _, a := range l.apps {
		for _, g := range a.generationsHeld() {
			if !a.ended && g.resolved.Load() != nil && !g.pinnedYet() {
				l.s.wg.Go(func() { g.hold(l.s.pins) })
			}
		}
	}
}

// forgetPins takes out of the store, and closes, what no release of this master has.
func (l *loop) forgetPins() {
	for name, files := range l.s.inherited {
		if !strings.HasPrefix(name, keptPin) {
			continue
		}
		l.s.pins.mu.Lock()
		used := l.s.pins.held[name] != nil
		l.s.pins.mu.Unlock()
		if !used {
			l.unkeep(name)
		}
		closeFiles(files)
		delete(l.s.inherited, name)
	}
}
