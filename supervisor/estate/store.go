package estate

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/record"
	"github.com/tinehq/tine/supervisor/serve"
	"github.com/tinehq/tine/supervisor/succession"
)

// kept is what the loop has in the store. It is nil where there is none.
type kept struct {
	record *record.Record
	file   *os.File // its memory
	lost   bool     // something could not be stored, and that was said
	room   room     // what is known of the store's

	torn          bool            // what is written next is the whole record
	size          int             // of the whole when it was written last, in bytes
	wholeBy       time.Time       // when it is written next; zero: there is no patch
	written       map[int]bool    // keys of the apps that the record has
	configWritten json.RawMessage // what the record has for a config
	work          Work

	config   json.RawMessage // as it is saved
	configOf *config.Config  // what e.loop.Config() was then

	names map[string]bool // that are stored, but for those of workers
}

// Open makes the record, or takes over the one that the last master has left: what
// was in it is read then.
func (e *Estate) Open() (before *succession.State, err error) {
	if e.store == nil {
		return nil, nil
	}
	e.kept = &kept{names: map[string]bool{}, torn: true}
	for name := range e.inherited {
		if IsOwn(name) {
			e.kept.names[name] = true
		}
	}
	if files := e.inherited[succession.StateFile]; len(files) > 0 {
		e.kept.file = files[0]
		if e.kept.record, err = record.Open(files[0]); err != nil {
			return nil, err
		}
		state, err := succession.Read(e.kept.record)
		return &state, err
	}
	f, err := record.Memory("tine state")
	if err != nil {
		return nil, err
	}
	if e.kept.record, err = record.New(f); err != nil {
		return nil, err
	}
	e.kept.file = f
	e.Store(succession.StateFile, f)
	return nil, nil
}

// RemoveAll is for an end in order, after which nobody goes on: systemd would give what it
// still has to a master that it is told to start next. The record goes first, as without it
// nobody uses the rest.
func (e *Estate) RemoveAll() {
	if e.kept == nil {
		return
	}
	e.Remove(succession.StateFile)
	_ = e.pins.Each(func(name string, _ *os.File) error { e.kept.names[name] = true; return nil })
	for name := range e.kept.names {
		e.Remove(name)
	}
}

// RemoveInherited drops what is left of a master without a record: nobody knows what it is for.
func (e *Estate) RemoveInherited() {
	if e.kept == nil {
		return
	}
	for name, files := range e.inherited {
		if !IsOwn(name) || name == succession.StateFile {
			continue
		}
		e.Remove(name)
		for _, f := range files {
			f.Close()
		}
		delete(e.inherited, name)
	}
}

// keep stores files. One that is not stored is missed only if this master crashes, so
// that it is said, once, and all runs on.
func (e *Estate) Store(name string, files ...*os.File) {
	if e.kept == nil {
		return
	}
	e.kept.names[name] = true
	e.kept.room.changed()
	e.vault.Put(name, files...)
}

func (e *Estate) StoreFailed(name string, err error) {
	if errors.Is(err, keeper.ErrFull) {
		e.kept.room.changed() // which tells of each
		return
	}
	if err != nil && !e.kept.lost {
		e.kept.lost = true
		e.logs.Error().Err(err).Str("file", name).Msg("cannot keep what the next master needs: should this one crash, workers will be lost")
	}
}

func (e *Estate) Remove(name string) {
	if e.kept != nil {
		delete(e.kept.names, name)
		if len(e.kept.room.missing) > 0 {
			e.kept.room.changed()
		}
		e.vault.Drop(name)
	}
}

// NewKey is a number that no app and no sockets have had, of this master or an earlier
// one.
func (e *Estate) NewKey() int {
	e.keys++
	return e.keys
}

// number gives an app that runs from here on, and its sockets, their keys.
func (e *Estate) Number(a *crew.App) {
	a.Key = e.NewKey()
	if a.Sockets.Key == 0 {
		a.Sockets.Key = e.NewKey()
	}
}

// storeSockets stores the files that sockets have got since the last time, and takes out
// those that they have no more.
func (e *Estate) storeSockets(s *crew.Sockets) {
	changes := s.Changes()
	if e.kept == nil || s.Kept != nil && s.KeptChanges == changes {
		return
	}
	s.KeptChanges = changes
	files := s.Files()
	if s.Kept == nil {
		s.Kept = map[string]bool{}
	}
	for slot := range s.Closing {
		for i := range s.Addresses() {
			delete(files, listen.SocketName(i, slot))
		}
	}
	for name := range s.Kept {
		if files[name] == nil {
			e.Remove(succession.SocketsName(s.Key, name))
			delete(s.Kept, name)
		}
	}
	for name, f := range files {
		if !s.Kept[name] {
			s.Kept[name] = true
			e.Store(succession.SocketsName(s.Key, name), f)
		}
	}
}

// CloseSlot closes the sockets of the last slot, in the store and then here. As long as the store has one, the kernel counts it
// and may have connections wait in it, which nobody accepts. So the loop goes on until the store has closed them: see slotFree.
func (e *Estate) CloseSlot(s *crew.Sockets, slot int) {
	if e.kept == nil {
		slotFree{s, slot}.close(e)
		return
	}
	if s.Closing[slot] {
		return
	}
	for i := range s.Addresses() {
		if name := listen.SocketName(i, slot); s.Kept[name] {
			e.Remove(succession.SocketsName(s.Key, name))
			delete(s.Kept, name)
		}
	}
	if s.Closing == nil {
		s.Closing = map[int]bool{}
	}
	s.Closing[slot] = true
	e.vault.Barrier(slotFree{s, slot})
}

// KeepSlot calls off that a slot is closed, which a worker gets again: the store gets its sockets again.
func (e *Estate) KeepSlot(s *crew.Sockets, slot int) {
	if s.Closing[slot] {
		delete(s.Closing, slot)
		s.KeptChanges = 0
		e.saveDue = true
	}
}

// slotFree is that the store has no socket of a slot any more.
type slotFree struct {
	sockets *crew.Sockets
	slot    int
}

func (f slotFree) Act(e *Estate) {
	if f.sockets.Closing[f.slot] && f.sockets.Used() {
		delete(f.sockets.Closing, f.slot)
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
		e.saveDue = true
		if err != nil {
			e.logs.Error().Str("app", a.Name).Int("slot", f.slot).Err(err).Msg("cannot close slot")
		}
	}
}

const (
	// vaultPatience bounds the wait for the store where this process is about to end, or to let another master take over.
	vaultPatience = 5 * time.Second
	// startPatience bounds the wait for the store before the loop runs.
	startPatience = 200 * time.Millisecond
)

// StartBarrier waits, before the loop runs, until the store has done what it was told.
func (e *Estate) StartBarrier() {
	e.vault.Barrier(stored{})
	_ = e.vault.WaitAtMost(startPatience) // later, then
}

// stored is a barrier that nobody waits for in the loop.
type stored struct{}

func (stored) Act(*Estate) {}

// News gets a value when the store has something to tell; nil: there is none.
func (e *Estate) News() <-chan struct{} {
	if e.vault == nil {
		return nil
	}
	return e.vault.News()
}

// Hear takes in what the store had to tell.
func (e *Estate) Hear() {
	for _, r := range e.vault.Results() {
		if m, ok := r.Barrier.(Message); ok {
			m.Act(e)
		} else {
			e.StoreFailed(r.Name, r.Err)
		}
	}
}

// Settle waits until the store has all: another master goes on from that.
func (e *Estate) Settle() error {
	err := e.vault.WaitAtMost(vaultPatience)
	e.Hear()
	return err
}

// Close ends the goroutine of the vault. What is in the store is another master's if that is in charge.
func (e *Estate) Close() {
	if e.vault == nil {
		return
	}
	if !e.left {
		if err := e.vault.WaitAtMost(vaultPatience); err != nil {
			e.logs.Warn().Err(err).Msg("what was kept for the next master may still be there")
		}
	}
	e.vault.Close()
}

// RemoveUnadopted takes out of the store the sockets that the last master had and this one has not adopted: those of apps that
// waited for others, which are opened anew. As long as the store has them, nobody else can have their addresses.
func (e *Estate) RemoveUnadopted() {
	adopted := map[string]bool{}
	for s := range e.sockets() {
		for name := range s.Kept {
			adopted[succession.SocketsName(s.Key, name)] = true
		}
	}
	forgot := false
	for name := range e.kept.names {
		if strings.HasPrefix(name, succession.SocketsPrefix) && !adopted[name] {
			e.Remove(name)
			forgot = true
		}
	}
	if forgot {
		e.StartBarrier()
	}
}

// RemoveFiles takes files of sockets out of the store, which others take the place of: the next save stores those.
func (e *Estate) RemoveFiles(s *crew.Sockets, names []string) {
	for _, name := range names {
		if s.Kept[name] {
			e.Remove(succession.SocketsName(s.Key, name))
			delete(s.Kept, name)
		}
	}
}

// RemoveSockets is for sockets that are closed for good.
func (e *Estate) RemoveSockets(s *crew.Sockets) {
	if e.kept == nil {
		return
	}
	for name := range s.Kept {
		e.Remove(succession.SocketsName(s.Key, name))
	}
	s.Kept = nil
}

// StoreWorker stores what the next master needs of a worker, before anybody hears that
// it exists. A worker that has ended meanwhile has nothing that a master could adopt.
func (e *Estate) StoreWorker(m *crew.Worker) error {
	if e.store == nil || !m.Reachable() {
		return nil
	}
	files, err := m.Files()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer CloseFiles(files)
	_ = e.vault.WaitAtMost(vaultPatience) // the sockets of its slot come first
	name := succession.WorkerName(m.App.Key, m.ID)
	e.vault.Has(name)
	return e.store.Store(name, files...)
}

func CloseFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// IsOwn says whether a file of this name was stored by a master before this one.
func IsOwn(name string) bool {
	return name == succession.StateFile || name == serve.KeptControl || name == "values" || slices.ContainsFunc([]string{succession.WorkerPrefix, succession.SocketsPrefix, serve.KeptTCP, launch.KeptPin, "value."}, func(p string) bool {
		return strings.HasPrefix(name, p)
	})
}

// vaultOfPins is the vault as the pins of releases use it. They may be stored late: without them a later master has the path.
type vaultOfPins struct{ v *succession.Vault }

func (p vaultOfPins) Store(name string, files ...*os.File) error {
	p.v.Put(name, files...)
	return nil
}

func (p vaultOfPins) Remove(name string) error {
	p.v.Drop(name)
	return nil
}

// StoreNow is Store that returns when the store has f, or has not answered for as long as a handover waits for it.
func (e *Estate) StoreNow(name string, f *os.File) {
	e.Store(name, f)
	if e.vault == nil {
		return
	}
	if err := e.vault.WaitAtMost(vaultPatience); err != nil {
		e.logs.Warn().Str("file", name).Err(err).Msg("should this master crash now, a cached value is lost")
	}
}

// Start begins to give to the store what was stored so far.
func (e *Estate) Start() {
	if e.vault != nil {
		e.vault.Start()
	}
}

// SetKeys has NewKey go on after the keys that a last master has given.
func (e *Estate) SetKeys(last int) { e.keys = last }

// HasRecord reports whether there is memory for a record.
func (e *Estate) HasRecord() bool { return e.kept != nil && e.kept.file != nil }

// RecordFile is that memory.
func (e *Estate) RecordFile() *os.File { return e.kept.file }

// NewRecord begins an empty record in that memory.
func (e *Estate) NewRecord() (err error) {
	e.kept.record, err = record.New(e.kept.file)
	return err
}

// TakeBackRecord is for after an upgrade that has failed: the other master may have written to the record, or made it unusable, and
// the record may tell of exits that were the other master's to judge. The next write is a whole.
func (e *Estate) TakeBackRecord() {
	e.SaveAllSoon()
	reopened, err := record.Open(e.kept.file)
	if err != nil {
		reopened, err = record.New(e.kept.file)
	}
	e.kept.record = reopened
	e.StoreFailed(succession.StateFile, err)
}
