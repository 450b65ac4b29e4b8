package supervisor

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/record"
)

// keep is who holds files for the next master. It is called by the loop, in the order in which things happen, and what it was told to keep
// it has when Keep returns: a master may be killed right after that. It takes no part of f, which stays the caller's.
type keep interface {
	Keep(name string, f *os.File)
	Drop(name string)
}

type keepNothing struct{}

func (keepNothing) Keep(string, *os.File) {}
func (keepNothing) Drop(string)           {}

// valueStore keeps values where all the rest is kept, if it is.
type valueStore struct{ l *loop }

func (s valueStore) Keep(name string, f *os.File) { s.l.keep(name, f) }
func (s valueStore) Drop(name string)             { s.l.unkeep(name) }

// inheritedValues takes the files of values out of what the last master has left. Of several of one name the last one counts.
func (l *loop) inheritedValues() map[string]*os.File {
	values := map[string]*os.File{}
	for name, files := range l.s.inherited {
		if name != valuesName && !strings.HasPrefix(name, valuePrefix) || len(files) == 0 {
			continue
		}
		delete(l.s.inherited, name)
		last := len(files) - 1
		for _, f := range files[:last] {
			_ = f.Close()
		}
		values[name] = files[last]
	}
	return values
}

const (
	// valuesName is the name of the journal among the files that a master leaves.
	valuesName = "values"
	// valuePrefix begins the name of a large value's file; the epoch of the value follows. Each epoch comes once.
	valuePrefix = "value."
	// packName is the name of the pack's file.
	packName = "value.pack"
)

// Who set a value, as Status shows it and the journal keeps it. Anything else is the text of a source of the config, which
// always has a colon, or is "func".
const (
	sourceSet    = "set"
	sourceWorker = "worker "
)

func workerSource(id uint64) string { return sourceWorker + strconv.FormatUint(id, 10) }

func fromWorker(source string) bool {
	id, ok := strings.CutPrefix(source, sourceWorker)
	if !ok {
		return false
	}
	_, err := strconv.ParseUint(id, 10, 64)
	return err == nil
}

func fromConfig(source string) bool { return source != sourceSet && !fromWorker(source) }

// valuesJournal writes each change of the store down for the next master: small values into a journal in memory, those that have
// a file under names of their own, and all others, which the journal has no room for, into a pack. The loop owns it. When its journal fails it is given up: from then on it
// does nothing, and there is nothing of it that the next master could take for the values.
type valuesJournal struct {
	logs    *logs.Logs
	keep    keep
	file    *os.File // nil: given up
	journal *cache.Journal
	large   map[string]largeValue // by key: those that the journal only names
	pack    *cache.Pack           // nil: nothing was packed so far
	packed  *os.File              // its file
	packMax int                   // places in it
	said    bool                  // that a value does not survive
	shared  bool                  // another master may have used names that this one comes to
}

// largeValue is one that has a file, or is in the pack.
type largeValue struct {
	name    string
	epoch   uint64
	payload *ipc.Payload // that has the file; the reference is the journal's own. nil: it is in the pack
	place   cache.Place  // there
}

// newValuesJournal makes an empty one. Without a keep only files tells what is to be handed on.
func newValuesJournal(logs *logs.Logs, k keep) *valuesJournal {
	if k == nil {
		k = keepNothing{}
	}
	return &valuesJournal{logs: logs, keep: k, large: map[string]largeValue{}, packMax: cache.MaxPack}
}

// create begins with no value at all.
func (j *valuesJournal) create() {
	f, err := record.Memory("tine-" + valuesName)
	if err == nil {
		j.file = f
		j.journal, err = cache.NewJournal(f)
	}
	if err != nil {
		j.giveUp(err)
		return
	}
	j.store(valuesName, f)
}

// put writes a change down, or that the same value has another source now. It comes before anybody hears of the change: an epoch that
// a worker has seen must not come a second time, for something else.
func (j *valuesJournal) put(c cache.Change, source string) {
	if j == nil || j.file == nil {
		return
	}
	again := j.journal.Epoch() >= c.Epoch
	if again && !j.journal.Has(c.Key, c.Epoch) {
		return // it was too much when it was set
	}
	e := cache.Entry{Key: c.Key, Epoch: c.Epoch, ChangedAt: c.At, Source: source}
	old := j.large[c.Key]
	large, value, err := j.fileOf(c, old)
	switch {
	case err != nil:
		j.lose(c.Key, err)
		e.Deleted = true
	case large.name != "":
		e.File, e.FileSize = large.name, int64(c.Payload.Len())
	case c.Payload == nil:
		e.Deleted = true
	default:
		e.Value = value
	}
	if large.payload != nil && large.name != old.name {
		j.store(large.name, large.payload.File())
	}
	// Until this the old value's file is what the journal needs, from here on the new one's.
	err = j.journal.Append(e)
	full := errors.Is(err, cache.ErrJournalFull)
	if full {
		j.lose(c.Key, err)
	}
	if large.name != old.name || full {
		j.drop(c.Key)
	}
	switch {
	case large.name == "":
	case err != nil && large.name != old.name:
		j.release(large)
	case err == nil:
		j.large[c.Key] = large
	}
	if err != nil && !full {
		j.giveUp(err)
	}
}

// fileOf returns a value with a file with a reference, or what is packed, which is old if the value is, and else its bytes.
func (j *valuesJournal) fileOf(c cache.Change, old largeValue) (largeValue, []byte, error) {
	switch {
	case c.Payload == nil:
		return largeValue{}, nil, nil
	case c.Epoch == old.epoch:
		return old, nil, nil
	case c.Payload.Mapped():
		return largeValue{name: valuePrefix + strconv.FormatUint(c.Epoch, 10), epoch: c.Epoch, payload: c.Payload.Retain()}, nil, nil
	}
	b, err := c.Payload.Bytes()
	if err != nil || len(b) <= ipc.HeapMax && (len(b) < packMin || !j.journal.Crowded(len(b))) {
		return largeValue{}, b, err
	}
	v, err := j.putPacked(b, c.Epoch)
	return v, nil, err
}

func (j *valuesJournal) store(name string, f *os.File) {
	if j.shared {
		j.keep.Drop(name)
	}
	j.keep.Keep(name, f)
}

// drop forgets the large value of a key.
func (j *valuesJournal) drop(key string) {
	v, ok := j.large[key]
	if !ok {
		return
	}
	delete(j.large, key)
	j.release(v)
}

// release gives a value's file or place back, which the journal does not name any more.
func (j *valuesJournal) release(v largeValue) {
	if v.payload == nil {
		j.pack.Drop(v.place)
		return
	}
	j.keep.Drop(v.name)
	v.payload.Release()
}

// lose says, the first time, that a value will not survive.
func (j *valuesJournal) lose(key string, err error) {
	if j.said {
		return
	}
	j.said = true
	j.logs.Warn().Str("key", key).Err(err).Msg("cached value will not survive this master; neither may others, of which this is not said again")
}

// giveUp leaves nothing for the next master: what it would find is not what workers have.
func (j *valuesJournal) giveUp(err error) {
	j.logs.Error().Err(err).Msg("cached values will not survive this master: they cannot be written down")
	for key := range j.large {
		j.drop(key)
	}
	j.keep.Drop(valuesName)
	j.dropPack()
	if j.file != nil {
		_ = j.file.Truncate(0) // for whoever was handed it already
		j.close()
	}
}

// files are what the next master needs, by name: open and unchanged until the next set or delete. They stay the journal's.
func (j *valuesJournal) files() map[string]*os.File {
	files := map[string]*os.File{}
	if j == nil || j.file == nil {
		return files
	}
	files[valuesName] = j.file
	if j.packed != nil {
		files[packName] = j.packed
	}
	for _, v := range j.large {
		if v.payload != nil {
			files[v.name] = v.payload.File()
		}
	}
	return files
}

// close lets go of the files, and leaves with keep what is there.
func (j *valuesJournal) close() {
	if j == nil || j.file == nil {
		return
	}
	for _, v := range j.large {
		if v.payload != nil {
			v.payload.Release()
		}
	}
	clear(j.large)
	j.closePack()
	_ = j.file.Close()
	j.file = nil
}

// openValues begins the journal of this master and, if the one before has left its own, fills the store with its values: with
// their epochs, from which the next change goes on, their ages, and what of them workers have set. It comes before the
// sources are started. What cannot be had is said and left out.
//
// Of files, which may be nil, it takes over "values" and all of "value.N", and removes them from the map. They are taken
// for kept, and those that are of no use are dropped. k may be nil.
func (l *loop) openValues(files map[string]*os.File, k keep) {
	began := time.Now()
	j := newValuesJournal(l.logs, k)
	l.values = j
	defer func() { // those that no value has
		for name, f := range files {
			if strings.HasPrefix(name, valuePrefix) {
				j.keep.Drop(name)
				_ = f.Close()
				delete(files, name)
			}
		}
	}()
	f := files[valuesName]
	delete(files, valuesName)
	packed := files[packName]
	delete(files, packName)
	if f == nil {
		j.adoptPack(packed, nil)
		j.create()
		return
	}
	entries, missing, err := l.replay(f, packed, files)
	if err != nil {
		j.adoptPack(packed, nil)
		l.logs.Error().Err(err).Msg("cached values of the master before are lost; sources fetch theirs anew")
		j.keep.Drop(valuesName)
		_ = f.Close()
		j.create()
		return
	}
	j.file = f
	bytes := int64(0)
	var large []*ipc.Payload
	var places []cache.Place
	for _, e := range entries {
		p, ok := l.store.Get(e.Key)
		if !ok {
			continue
		}
		bytes += e.Bytes()
		if at, ok := cache.PlaceOf(e); ok {
			j.large[e.Key] = largeValue{name: e.File, epoch: e.Epoch, place: at}
			places = append(places, at)
		} else if e.File != "" {
			j.large[e.Key] = largeValue{name: e.File, epoch: e.Epoch, payload: p.Retain()}
			large = append(large, p.Retain())
		}
		if fromWorker(e.Source) {
			l.published.add(e.Key, p)
		}
	}
	j.adoptPack(packed, places)
	l.sayMissing(missing)
	l.logs.Info().Int("values", l.store.Len()).Uint64("epoch", l.store.Epoch()).Int64("bytes", bytes).
		Float64("took_ms", ms(time.Since(began))).Msg("cached values restored")
	l.forgetMissing(entries, missing)
	l.forgetSources(entries)
	if len(large) == 0 {
		return
	}
	l.s.wg.Go(func() { // else the loop would, when a source confirms its value
		for _, p := range large {
			p.Prepare()
			p.Release()
		}
	})
}

// rewriteValues writes all values down anew. It is for a master that goes on after another one has opened its journal, and has ended:
// nobody knows what that one has written there, or dropped. Between the two moments in which the journal is
// dropped and the new one is kept, a master that is killed leaves no values.
func (l *loop) rewriteValues() {
	j := l.values
	if j == nil || j.file == nil {
		return
	}
	_ = j.file.Close()
	j.file, j.shared = nil, true
	for key, v := range j.large {
		if v.payload == nil {
			delete(j.large, key)
			continue
		}
		j.store(v.name, v.payload.File())
	}
	j.dropPack()
	f, err := record.Memory("tine-" + valuesName)
	if err == nil {
		j.file = f
		j.journal, err = cache.NewJournal(f)
	}
	epoch, sets := l.store.Snapshot()
	for _, set := range sets {
		if err == nil {
			j.put(cache.Change{Key: set.Key, Epoch: set.Epoch, Payload: set.Payload, At: set.ChangedAt}, l.store.Source(set.Key))
		}
		set.Payload.Release()
	}
	if err == nil && j.file != nil {
		err = j.journal.AppendEpoch(epoch)
	}
	switch {
	case err != nil:
		j.giveUp(err)
	case j.file != nil:
		j.store(valuesName, f)
	}
}

// replay fills the store, and takes the files of large values out of the map.
func (l *loop) replay(f, packed *os.File, files map[string]*os.File) (entries []cache.Entry, missing map[string]error, err error) {
	journal, entries, epoch, err := cache.OpenJournal(f)
	if err != nil {
		return nil, nil, err
	}
	missing, err = l.store.Replay(time.Now(), epoch, entries, func(e cache.Entry) (*ipc.Payload, error) {
		if at, ok := cache.PlaceOf(e); ok {
			return unpack(packed, at)
		}
		file, ok := files[e.File]
		if !ok || !strings.HasPrefix(e.File, valuePrefix) {
			return nil, fmt.Errorf("its file %s was not handed on", e.File)
		}
		delete(files, e.File)
		p, err := ipc.PayloadFromFile(file, e.FileSize)
		if err != nil {
			l.values.keep.Drop(e.File)
		}
		return p, err
	})
	if err != nil {
		for _, e := range entries {
			if e.File != "" && files[e.File] == nil {
				l.values.keep.Drop(e.File)
			}
		}
		return nil, nil, err
	}
	l.values.journal = journal
	return entries, missing, nil
}

// restored says whether the key's value is from that source.
func (l *loop) restored(key string, source cache.Source) bool {
	_, ok := l.store.Get(key)
	text := source.String()
	return ok && l.store.Source(key) == text[:min(len(text), cache.MaxSource)]
}

// sayMissing names the first few of the values that are lost.
func (l *loop) sayMissing(missing map[string]error) {
	if len(missing) == 0 {
		return
	}
	keys := slices.Sorted(maps.Keys(missing))
	const some = 10
	l.logs.Error().Int("values", len(keys)).Strs("keys", keys[:min(len(keys), some)]).Err(missing[keys[0]]).
		Msg("cached values of the master before are lost until they are set again")
}

// forgetMissing takes what is lost out of the journal, so that it is said once.
func (l *loop) forgetMissing(entries []cache.Entry, missing map[string]error) {
	for _, e := range entries {
		if missing[e.Key] != nil {
			l.values.put(cache.Change{Key: e.Key, Epoch: e.Epoch, At: e.ChangedAt}, e.Source)
		}
	}
}

// forgetSources deletes the values whose sources are not in the config any more, as a change of the config does.
func (l *loop) forgetSources(entries []cache.Entry) {
	for _, e := range entries {
		if _, ok := l.store.Get(e.Key); !ok || !fromConfig(e.Source) {
			continue
		}
		if !slices.ContainsFunc(l.config.Cache, func(v config.CacheValue) bool { return v.Key == e.Key }) {
			l.delete(e.Key)
		}
	}
}
