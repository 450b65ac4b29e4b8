package estate

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/serve"
	"github.com/tinehq/tine/supervisor/succession"
)

const (
	// vaultPatience bounds the wait for the store where this process is about to end, or to let another master take over.
	vaultPatience = 5 * time.Second
	// startPatience bounds the wait for the store before the loop runs.
	startPatience = 200 * time.Millisecond
)

// stored is what this master has in the store, by name. Without a store it is nil, and its methods do nothing.
type stored struct {
	behind    succession.Store // the store itself, which is waited for
	vault     *succession.Vault
	names     map[string]bool // but those of workers
	bySockets map[*crew.Sockets]*storedSockets
	lost      bool         // something could not be stored, and that was said
	waiting   atomic.Int32 // workers that are being started and wait for the store
	room      room
}

// storedSockets is what the store has of sockets.
type storedSockets struct {
	files   map[string]bool // as Sockets.Files names them
	changes uint64          // Sockets.Changes when files was made
	stale   bool            // files was to be looked at again all the same
	closing map[int]bool    // slots whose sockets are closed when the store has none of them any more
}

// newStored is for a store that has files of those names.
func newStored(store succession.Store, inherited []string) *stored {
	s := &stored{behind: store, vault: succession.NewVault(store, inherited), names: map[string]bool{}, bySockets: map[*crew.Sockets]*storedSockets{}}
	for _, name := range inherited {
		if isOwn(name) {
			s.names[name] = true
		}
	}
	return s
}

// isOwn says whether a file of this name was stored by a master before this one.
func isOwn(name string) bool {
	return name == succession.StateFile || name == serve.KeptControl || name == "values" || slices.ContainsFunc([]string{succession.WorkerPrefix, succession.SocketsPrefix, serve.KeptTCP, launch.KeptPin, "value."}, func(p string) bool {
		return strings.HasPrefix(name, p)
	})
}

// Store has files stored under a name, beside those that it has. What is not stored is missed only if this master crashes: so that is
// logged, once, and all runs on.
func (s *stored) Store(name string, files ...*os.File) {
	if s == nil {
		return
	}
	s.names[name] = true
	s.room.changed()
	_ = s.vault.Store(name, files...)
}

// Remove has all files of a name removed.
func (s *stored) Remove(name string) {
	if s == nil {
		return
	}
	delete(s.names, name)
	if len(s.room.short.Missing) > 0 {
		s.room.changed()
	}
	_ = s.vault.Remove(name)
}

// StoreWorker stores what the next master needs of a worker, before anything else hears that the worker exists. A worker that has ended
// meanwhile has nothing that a master could adopt. It may be called by any goroutine, and waits for the store.
func (s *stored) StoreWorker(m *crew.Worker) error {
	if s == nil || !m.Reachable() {
		return nil
	}
	files, err := m.Files()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeFiles(files)
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	_ = s.vault.WaitAtMost(vaultPatience) // the sockets of its slot come first
	name := succession.WorkerName(m.App.Key, m.ID)
	s.vault.Has(name)
	return s.behind.Store(name, files...)
}

// of is what is known of sockets.
func (s *stored) of(sockets *crew.Sockets) *storedSockets {
	k := s.bySockets[sockets]
	if k == nil {
		k = &storedSockets{files: map[string]bool{}, closing: map[int]bool{}, stale: true}
		s.bySockets[sockets] = k
	}
	return k
}

// storedAlready notes that the store has files of sockets, as Sockets.Files names them.
func (s *stored) storedAlready(sockets *crew.Sockets, files map[string]*os.File) {
	k := s.of(sockets)
	k.stale = false
	for file := range files {
		k.files[file] = true
	}
}

// storeSockets stores the files that sockets have got since the last time, and removes those that they have no more.
func (s *stored) storeSockets(sockets *crew.Sockets) {
	k, changes := s.of(sockets), sockets.Changes()
	if !k.stale && k.changes == changes {
		return
	}
	k.stale, k.changes = false, changes
	files := sockets.Files()
	for slot := range k.closing {
		for _, name := range sockets.SlotNames(slot) {
			delete(files, name)
		}
	}
	for file := range k.files {
		if files[file] == nil {
			s.RemoveFiles(sockets, file)
		}
	}
	for file, f := range files {
		if !k.files[file] {
			k.files[file] = true
			s.Store(succession.SocketsName(sockets.Key, file), f)
		}
	}
}

// RemoveFiles removes files of sockets, as far as they are stored. The next save stores what takes their place.
func (s *stored) RemoveFiles(sockets *crew.Sockets, files ...string) {
	if s == nil {
		return
	}
	for _, file := range files {
		if k := s.of(sockets); k.files[file] {
			delete(k.files, file)
			s.Remove(succession.SocketsName(sockets.Key, file))
		}
	}
}

// RemoveSockets is for sockets that are closed for good.
func (s *stored) RemoveSockets(sockets *crew.Sockets) {
	if s != nil {
		s.RemoveFiles(sockets, slices.Collect(maps.Keys(s.of(sockets).files))...)
		delete(s.bySockets, sockets)
	}
}

// Missing reports whether the store has no room for a worker.
func (s *stored) Missing(m *crew.Worker) bool { return s != nil && s.room.workers[m] }

// Start begins to give to the store what was stored so far, until Close.
func (s *stored) Start() {
	if s != nil {
		s.vault.Start()
	}
}

// News gets a value when Hear has something to do; nil: there is no store.
func (s *stored) News() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.vault.News()
}

// StoreNow is Store that returns when the store has f, or has not answered for as long as a handover waits for it.
func (e *Estate) StoreNow(name string, f *os.File) {
	if e.stored == nil {
		return
	}
	e.Store(name, f)
	if err := e.vault.WaitAtMost(vaultPatience); err != nil {
		e.logs.Warn().Str("file", name).Err(err).Msg("should this master crash now, a cached value is lost")
	}
}

// StoreFailed logs that what the next master needs is not stored, if err says so.
func (e *Estate) StoreFailed(name string, err error) {
	if errors.Is(err, keeper.ErrFull) {
		e.room.changed() // which tells of each
		return
	}
	if err != nil && !e.lost {
		e.lost = true
		e.logs.Error().Err(err).Str("file", name).Msg("cannot keep what the next master needs: should this one crash, workers will be lost")
	}
}

// RemoveWorker removes the files of a worker that has ended.
func (s *stored) RemoveWorker(m *crew.Worker) { s.Remove(succession.WorkerName(m.App.Key, m.ID)) }

// WorkerStored takes in what StoreWorker has returned for a worker that this master has started.
func (e *Estate) WorkerStored(m *crew.Worker, err error) {
	if e.stored != nil {
		e.room.changed()
		e.StoreFailed(succession.WorkerName(m.App.Key, m.ID), err)
	}
}

// CloseSlot closes the sockets of the last slot, in the store and then here. As long as the store has one, the kernel counts it
// and may have connections wait in it, which no worker accepts. So the loop goes on until the store has closed them: see slotFree.
func (e *Estate) CloseSlot(s *crew.Sockets, slot int) {
	if e.stored == nil {
		slotFree{s, slot}.close(e)
		return
	}
	k := e.of(s)
	if k.closing[slot] {
		return
	}
	e.RemoveFiles(s, s.SlotNames(slot)...)
	k.closing[slot] = true
	e.vault.Barrier(slotFree{s, slot})
}

// KeepSlot calls off that a slot is closed, which a worker gets again: the store gets its sockets again.
func (e *Estate) KeepSlot(s *crew.Sockets, slot int) {
	if e.stored == nil {
		return
	}
	if k := e.of(s); k.closing[slot] {
		delete(k.closing, slot)
		k.stale = true
		e.SaveSoon()
	}
}

// slotFree is that the store has no socket of a slot any more.
type slotFree struct {
	sockets *crew.Sockets
	slot    int
}

func (f slotFree) Act(e *Estate) {
	if k := e.bySockets[f.sockets]; k != nil && k.closing[f.slot] && f.sockets.Used() {
		delete(k.closing, f.slot)
		f.close(e)
	}
}

func (f slotFree) close(e *Estate) {
	err := f.sockets.CloseSlot(f.slot)
	for _, a := range e.loop.Apps() {
		if a.Sockets != f.sockets || a.Ended() {
			continue
		}
		e.Touched(a)
		e.SaveSoon()
		if err != nil {
			e.logs.Error().Str("app", a.Name).Int("slot", f.slot).Err(err).Msg("cannot close slot")
		}
	}
}

// Hear acts on what the store had to tell.
func (e *Estate) Hear() {
	for _, r := range e.vault.Results() {
		if m, ok := r.Barrier.(Message); ok {
			m.Act(e)
		} else {
			e.StoreFailed(r.Name, r.Err)
		}
	}
}

// Settle waits until the store has all, as another master goes on from that.
func (e *Estate) Settle() error {
	err := e.vault.WaitAtMost(vaultPatience)
	e.Hear()
	return err
}

// reached is a barrier that nothing follows from.
type reached struct{}

func (reached) Act(*Estate) {}

// startBarrier waits for a moment, before the loop runs, until the store has done what it was told. What takes longer is done later.
func (e *Estate) startBarrier() {
	e.vault.Barrier(reached{})
	_ = e.vault.WaitAtMost(startPatience)
}

// Close ends the goroutine that Start has begun. The store is left as it is if another master is in charge.
func (e *Estate) Close() {
	if e.stored == nil {
		return
	}
	if !e.left {
		if err := e.vault.WaitAtMost(vaultPatience); err != nil {
			e.logs.Warn().Err(err).Msg("what was kept for the next master may still be there")
		}
	}
	e.vault.Close()
}

// RemoveAll is for an end in order, which no master follows: systemd would give what it still has to a master that it is told to start
// next. The record goes first, as without it the rest is of no use.
func (e *Estate) RemoveAll() {
	if e.stored == nil {
		return
	}
	e.Remove(succession.StateFile)
	_ = e.pins.Each(func(name string, _ *os.File) error { e.names[name] = true; return nil })
	for name := range e.names {
		e.Remove(name)
	}
}

// removeInherited removes what is left of a master without a record: nothing tells what it is for.
func (e *Estate) removeInherited() {
	if e.stored == nil {
		return
	}
	for name, files := range e.inherited {
		if isOwn(name) && name != succession.StateFile {
			e.Remove(name)
			closeFiles(files)
			delete(e.inherited, name)
		}
	}
}

// removeUnadopted removes the sockets that the last master had and this one has not adopted: those of apps that
// waited for others, which are opened anew. As long as the store has them, nothing else can have their addresses.
func (e *Estate) removeUnadopted() {
	adopted := map[string]bool{}
	for s := range e.sockets() {
		for file := range e.of(s).files {
			adopted[succession.SocketsName(s.Key, file)] = true
		}
	}
	removed := false
	for name := range e.names {
		if strings.HasPrefix(name, succession.SocketsPrefix) && !adopted[name] {
			e.Remove(name)
			removed = true
		}
	}
	if removed {
		e.startBarrier()
	}
}

// closeFiles closes the files that are there.
func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
