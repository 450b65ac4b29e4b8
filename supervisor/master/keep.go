package master

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/record"
	"github.com/tinehq/tine/supervisor/succession"
)

// Store holds files for the master that comes after this one: see [succession.Store]. One that has Room(context.Context)
// (keeper.Room, error) is asked by it what it had no room for.
type Store = succession.Store

// WithStore has everything that the next master needs kept in s, and goes on where the
// last one ended: inherited is what that one has left there, by name. Its workers are
// adopted, none is started anew, with the apps and cached values that it ran with: those of the
// Config given to New count only where there was no master before, or its record is lost. To
// change what runs then takes Apply. The files are the Supervisor's from here on.
func WithStore(s Store, inherited map[string][]*os.File) Option {
	return func(o *options) { o.store, o.inherited = s, inherited }
}

// kept is what the loop has in the store. It is nil where there is none.
type kept struct {
	store  Store
	record *record.Record
	file   *os.File // its memory
	lost   bool     // something could not be stored, and that was said
	room   room     // what is known of the store's

	torn          bool            // what is written next is the whole record
	size          int             // of the whole when it was written last, in bytes
	wholeBy       time.Time       // when it is written next; zero: there is no patch
	written       map[int]bool    // keys of the apps that the record has
	configWritten json.RawMessage // what the record has for a config
	work          workOfSaving

	config   json.RawMessage // as it is saved
	configOf *config.Config  // what l.config was then

	names map[string]bool // that are stored, but for those of workers
}

// openStore makes the record, or takes over the one that the last master has left: what
// was in it is read then.
func (l *loop) openStore() (before *succession.State, err error) {
	if l.s.store == nil {
		return nil, nil
	}
	l.kept = &kept{store: l.s.store, names: map[string]bool{}, torn: true}
	for name := range l.s.inherited {
		if isOwn(name) {
			l.kept.names[name] = true
		}
	}
	if files := l.s.inherited[succession.StateFile]; len(files) > 0 {
		l.kept.file = files[0]
		if l.kept.record, err = record.Open(files[0]); err != nil {
			return nil, err
		}
		state, err := succession.Read(l.kept.record)
		return &state, err
	}
	f, err := record.Memory("tine state")
	if err != nil {
		return nil, err
	}
	if l.kept.record, err = record.New(f); err != nil {
		return nil, err
	}
	l.kept.file = f
	l.keep(succession.StateFile, f)
	return nil, nil
}

// forgetKept is for an end in order, after which nobody goes on: systemd would give what it
// still has to a master that it is told to start next. The record goes first, as without it
// nobody uses the rest.
func (l *loop) forgetKept() {
	if l.kept == nil {
		return
	}
	l.unkeep(succession.StateFile)
	_ = l.s.pins.Each(func(name string, _ *os.File) error { l.kept.names[name] = true; return nil })
	for name := range l.kept.names {
		l.unkeep(name)
	}
}

// forgetInherited drops what is left of a master without a record: nobody knows what it is for.
func (l *loop) forgetInherited() {
	if l.kept == nil {
		return
	}
	for name, files := range l.s.inherited {
		if !isOwn(name) || name == succession.StateFile {
			continue
		}
		l.unkeep(name)
		for _, f := range files {
			f.Close()
		}
		delete(l.s.inherited, name)
	}
}

// keep stores files. One that is not stored is missed only if this master crashes, so
// that it is said, once, and all runs on.
func (l *loop) keep(name string, files ...*os.File) {
	if l.kept == nil {
		return
	}
	l.kept.names[name] = true
	l.kept.room.changed()
	l.s.vault.Put(name, files...)
}

func (l *loop) keepFailed(name string, err error) {
	if errors.Is(err, keeper.ErrFull) {
		l.kept.room.changed() // which tells of each
		return
	}
	if err != nil && !l.kept.lost {
		l.kept.lost = true
		l.logs.Error().Err(err).Str("file", name).Msg("cannot keep what the next master needs: should this one crash, workers will be lost")
	}
}

func (l *loop) unkeep(name string) {
	if l.kept != nil {
		delete(l.kept.names, name)
		if len(l.kept.room.missing) > 0 {
			l.kept.room.changed()
		}
		l.s.vault.Drop(name)
	}
}

// newKey is a number that no app and no sockets have had, of this master or an earlier
// one.
func (l *loop) newKey() int {
	l.keys++
	return l.keys
}

// number gives an app that runs from here on, and its sockets, their keys.
func (l *loop) number(a *crew.App) {
	a.Key = l.newKey()
	if a.Sockets.Key == 0 {
		a.Sockets.Key = l.newKey()
	}
}

// keepSockets stores the files that sockets have got since the last time, and takes out
// those that they have no more.
func (l *loop) keepSockets(s *crew.Sockets) {
	changes := s.Changes()
	if l.kept == nil || s.Kept != nil && s.KeptChanges == changes {
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
			l.unkeep(succession.SocketsName(s.Key, name))
			delete(s.Kept, name)
		}
	}
	for name, f := range files {
		if !s.Kept[name] {
			s.Kept[name] = true
			l.keep(succession.SocketsName(s.Key, name), f)
		}
	}
}

// closeSlot closes the sockets of the last slot, in the store and then here. As long as the store has one, the kernel counts it
// and may have connections wait in it, which nobody accepts. So the loop goes on until the store has closed them: see slotFree.
func (l *loop) closeSlot(s *crew.Sockets, slot int) {
	if l.kept == nil {
		slotFree{s, slot}.close(l)
		return
	}
	if s.Closing[slot] {
		return
	}
	for i := range s.Addresses() {
		if name := listen.SocketName(i, slot); s.Kept[name] {
			l.unkeep(succession.SocketsName(s.Key, name))
			delete(s.Kept, name)
		}
	}
	if s.Closing == nil {
		s.Closing = map[int]bool{}
	}
	s.Closing[slot] = true
	l.s.vault.Barrier(slotFree{s, slot})
}

// stayOpen calls off that a slot is closed, which a worker gets again: the store gets its sockets again.
func (l *loop) stayOpen(s *crew.Sockets, slot int) {
	if s.Closing[slot] {
		delete(s.Closing, slot)
		s.KeptChanges = 0
		l.saveDue = true
	}
}

// slotFree is that the store has no socket of a slot any more.
type slotFree struct {
	sockets *crew.Sockets
	slot    int
}

func (f slotFree) apply(l *loop) {
	if f.sockets.Closing[f.slot] && f.sockets.Used() {
		delete(f.sockets.Closing, f.slot)
		f.close(l)
	}
}

func (f slotFree) close(l *loop) {
	err := f.sockets.CloseSlot(f.slot)
	for _, a := range l.apps {
		if a.Sockets != f.sockets || a.Ended() {
			continue
		}
		l.touched(a)
		l.saveDue = true
		if err != nil {
			l.logs.Error().Str("app", a.Name).Int("slot", f.slot).Err(err).Msg("cannot close slot")
		}
	}
}

const (
	// vaultPatience bounds the wait for the store where this process is about to end, or to let another master take over.
	vaultPatience = 5 * time.Second
	// startPatience bounds the wait for the store before the loop runs.
	startPatience = 200 * time.Millisecond
)

// startBarrier waits, before the loop runs, until the store has done what it was told.
func (l *loop) startBarrier() {
	l.s.vault.Barrier(stored{})
	_ = l.s.vault.WaitAtMost(startPatience) // later, then
}

// stored is a barrier that nobody waits for in the loop.
type stored struct{}

func (stored) apply(*loop) {}

// vaultNews gets a value when the store has something to tell; nil: there is none.
func (l *loop) vaultNews() <-chan struct{} {
	if l.s.vault == nil {
		return nil
	}
	return l.s.vault.News()
}

// hearVault takes in what the store had to tell.
func (l *loop) hearVault() {
	for _, r := range l.s.vault.Results() {
		if m, ok := r.Barrier.(message); ok {
			m.apply(l)
		} else {
			l.keepFailed(r.Name, r.Err)
		}
	}
}

// settleVault waits until the store has all: another master goes on from that.
func (l *loop) settleVault() error {
	err := l.s.vault.WaitAtMost(vaultPatience)
	l.hearVault()
	return err
}

// closeVault ends the goroutine of the vault. What is in the store is another master's if that is in charge.
func (l *loop) closeVault() {
	if l.s.vault == nil {
		return
	}
	if !l.left {
		if err := l.s.vault.WaitAtMost(vaultPatience); err != nil {
			l.logs.Warn().Err(err).Msg("what was kept for the next master may still be there")
		}
	}
	l.s.vault.Close()
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

// forgetSockets takes out of the store the sockets that the last master had and this one has not adopted: those of apps that
// waited for others, which are opened anew. As long as the store has them, nobody else can have their addresses.
func (l *loop) forgetSockets() {
	adopted := map[string]bool{}
	for s := range l.allSockets() {
		for name := range s.Kept {
			adopted[succession.SocketsName(s.Key, name)] = true
		}
	}
	forgot := false
	for name := range l.kept.names {
		if strings.HasPrefix(name, succession.SocketsPrefix) && !adopted[name] {
			l.unkeep(name)
			forgot = true
		}
	}
	if forgot {
		l.startBarrier()
	}
}

// unkeepSockets is for sockets that are closed for good.
func (l *loop) unkeepSockets(s *crew.Sockets) {
	if l.kept == nil {
		return
	}
	for name := range s.Kept {
		l.unkeep(succession.SocketsName(s.Key, name))
	}
	s.Kept = nil
}

// keepWorker stores what the next master needs of a worker, before anybody hears that
// it exists. A worker that has ended meanwhile has nothing that a master could adopt.
func (s *Supervisor) keepWorker(m *crew.Worker) error {
	if s.store == nil || !m.Reachable() {
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
	_ = s.vault.WaitAtMost(vaultPatience) // the sockets of its slot come first
	name := succession.WorkerName(m.App.Key, m.ID)
	s.vault.Has(name)
	return s.store.Store(name, files...)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
