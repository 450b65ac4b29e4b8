package cache

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/record"
)

// Keep stores files for the next master, under names. Keep is called in the order in which values change; when it returns, the
// file survives a crash of this process. It duplicates f, which stays the caller's. Drop of a name that is not stored is no
// error.
type Keep interface {
	Keep(name string, f *os.File)
	Drop(name string)
}

type keepNothing struct{}

func (keepNothing) Keep(string, *os.File) {}
func (keepNothing) Drop(string)           {}

const (
	// journalName is the name of the journal among the files that a master leaves.
	journalName = "values"
	// filePrefix begins the name of a large value's file; the epoch of the value follows. Each epoch comes once.
	filePrefix = "value."
	// packName is the name of the pack's file.
	packName = "value.pack"
)

// IsFile reports whether a file of that name, among those that a master leaves, is one of its values.
func IsFile(name string) bool { return name == journalName || strings.HasPrefix(name, filePrefix) }

// archive writes each change down for the next master: small values into a journal, values that have a memory file under names of
// their own, and values that the journal has no room for into a pack. When the journal cannot be written the archive is given
// up: from then on it does nothing, and leaves nothing that the next master could take for the values. The methods put, files
// and close of a nil archive do nothing.
type archive struct {
	log     *zerolog.Logger
	keep    Keep
	file    *os.File // nil: given up
	journal *Journal
	large   map[string]largeValue // by key: those that the journal only names
	pack    *Pack                 // nil: nothing was packed so far
	packed  *os.File              // its file
	packMax int                   // places in it
	said    bool                  // a value does not survive, and that was logged
	shared  bool                  // another master may have used names that this one comes to
}

// largeValue is a value that has a file, or is in the pack.
type largeValue struct {
	name    string
	epoch   uint64
	payload *ipc.Payload // that has the file; the reference is the archive's own. nil: it is in the pack
	place   Place        // there
}

func newArchive(log *zerolog.Logger, k Keep) *archive {
	if k == nil {
		k = keepNothing{}
	}
	return &archive{log: log, keep: k, large: map[string]largeValue{}, packMax: MaxPack}
}

// create begins a journal without a value.
func (a *archive) create() {
	f, err := record.Memory("tine-" + journalName)
	if err == nil {
		a.file = f
		a.journal, err = NewJournal(f)
	}
	if err != nil {
		a.giveUp(err)
		return
	}
	a.keepFile(journalName, f)
}

// put writes a change down, or that the same value has another source now. It is called before a worker hears of the change: an
// epoch that a worker has seen must not come a second time, for another value.
func (a *archive) put(c Change, source string) {
	if a == nil || a.file == nil {
		return
	}
	again := a.journal.Epoch() >= c.Epoch
	if again && !a.journal.Has(c.Key, c.Epoch) {
		return // there was no room for this value when it was set
	}
	e := Entry{Key: c.Key, Epoch: c.Epoch, ChangedAt: c.At, Source: source}
	old := a.large[c.Key]
	large, value, err := a.fileOf(c, old)
	switch {
	case err != nil:
		a.lose(c.Key, err)
		e.Deleted = true
	case large.name != "":
		e.File, e.FileSize = large.name, int64(c.Payload.Len())
	case c.Payload == nil:
		e.Deleted = true
	default:
		e.Value = value
	}
	if large.payload != nil && large.name != old.name {
		a.keepFile(large.name, large.payload.File())
	}
	// The journal needs the old value's file until this, and the new one's from here on.
	err = a.journal.Append(e)
	full := errors.Is(err, ErrJournalFull)
	if full {
		a.lose(c.Key, err)
	}
	if large.name != old.name || full {
		a.drop(c.Key)
	}
	switch {
	case large.name == "":
	case err != nil && large.name != old.name:
		a.release(large)
	case err == nil:
		a.large[c.Key] = large
	}
	if err != nil && !full {
		a.giveUp(err)
	}
}

// fileOf returns where the value of a change is when the journal only names it: in its memory file, to which it adds a reference,
// or in the pack, where it puts it. For a value that the journal takes it returns the bytes. old is what the key had before.
func (a *archive) fileOf(c Change, old largeValue) (largeValue, []byte, error) {
	switch {
	case c.Payload == nil:
		return largeValue{}, nil, nil
	case c.Epoch == old.epoch:
		return old, nil, nil
	case c.Payload.Mapped():
		return largeValue{name: filePrefix + strconv.FormatUint(c.Epoch, 10), epoch: c.Epoch, payload: c.Payload.Retain()}, nil, nil
	}
	b, err := c.Payload.Bytes()
	if err != nil || len(b) <= ipc.HeapMax && (len(b) < packMin || !a.journal.Crowded(len(b))) {
		return largeValue{}, b, err
	}
	v, err := a.putPacked(b, c.Epoch)
	return v, nil, err
}

func (a *archive) keepFile(name string, f *os.File) {
	if a.shared {
		a.keep.Drop(name)
	}
	a.keep.Keep(name, f)
}

// drop forgets the large value of a key, if it has one.
func (a *archive) drop(key string) {
	v, ok := a.large[key]
	if !ok {
		return
	}
	delete(a.large, key)
	a.release(v)
}

// release gives back a value's file or its place in the pack. The journal must not name it any more.
func (a *archive) release(v largeValue) {
	if v.payload == nil {
		a.pack.Drop(v.place)
		return
	}
	a.keep.Drop(v.name)
	v.payload.Release()
}

// lose logs, the first time, that a value will not survive.
func (a *archive) lose(key string, err error) {
	if a.said {
		return
	}
	a.said = true
	a.log.Warn().Str("key", key).Err(err).Msg("cached value will not survive this master; neither may others, of which this is not said again")
}

// giveUp leaves nothing for the next master, which would otherwise find other values than workers have.
func (a *archive) giveUp(err error) {
	a.log.Error().Err(err).Msg("cached values will not survive this master: they cannot be written down")
	for key := range a.large {
		a.drop(key)
	}
	a.keep.Drop(journalName)
	a.dropPack()
	if a.file != nil {
		_ = a.file.Truncate(0) // a master that has a descriptor already must find nothing
		a.close()
	}
}

// files are what the next master needs, by name. They stay the archive's, and are valid until the next change.
func (a *archive) files() map[string]*os.File {
	files := map[string]*os.File{}
	if a == nil || a.file == nil {
		return files
	}
	files[journalName] = a.file
	if a.packed != nil {
		files[packName] = a.packed
	}
	for _, v := range a.large {
		if v.payload != nil {
			files[v.name] = v.payload.File()
		}
	}
	return files
}

// close closes the files. The Keep still has its own.
func (a *archive) close() {
	if a == nil || a.file == nil {
		return
	}
	for _, v := range a.large {
		if v.payload != nil {
			v.payload.Release()
		}
	}
	clear(a.large)
	a.closePack()
	_ = a.file.Close()
	a.file = nil
}
