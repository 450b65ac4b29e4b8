package cache

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/record"
)

// Open begins the archive of this master. Where the master before has left its own, Open first fills the empty set with its values:
// with their epochs, from which the next change goes on, their ages, and what of them workers have set. A value that cannot
// be had is logged and left out. Open comes before Begin, and logs to log from then on.
//
// files are what the master before has left, by name, and may be nil. Open takes over those that are [IsFile], and removes them from the
// map. They count as stored in k, and files that are not needed any more are dropped there. k may be nil: then only Files tells what is to
// be handed on.
//
// prepare reads the large values, so that the loop does not when a source confirms one. It may run in any goroutine; nil: there are
// none.
func (v *Values) Open(log *zerolog.Logger, files map[string]*os.File, k Keep) (prepare func()) {
	began := time.Now()
	a := newArchive(log, k)
	v.log, v.archive = log, a
	defer func() { // those that no value has
		for name, f := range files {
			if strings.HasPrefix(name, filePrefix) {
				a.keep.Drop(name)
				_ = f.Close()
				delete(files, name)
			}
		}
	}()
	f, packed := files[journalName], files[packName]
	delete(files, journalName)
	delete(files, packName)
	if f == nil {
		a.adoptPack(packed, nil)
		a.create()
		return nil
	}
	entries, missing, err := v.restore(f, packed, files)
	if err != nil {
		a.adoptPack(packed, nil)
		a.log.Error().Err(err).Msg("cached values of the master before are lost; sources fetch theirs anew")
		a.keep.Drop(journalName)
		_ = f.Close()
		a.create()
		return nil
	}
	a.file = f
	bytes := int64(0)
	var large []*ipc.Payload
	var places []Place
	for _, e := range entries {
		p, ok := v.Get(e.Key)
		if !ok {
			continue
		}
		bytes += e.Bytes()
		if at, ok := PlaceOf(e); ok {
			a.large[e.Key] = largeValue{name: e.File, epoch: e.Epoch, place: at}
			places = append(places, at)
		} else if e.File != "" {
			a.large[e.Key] = largeValue{name: e.File, epoch: e.Epoch, payload: p.Retain()}
			large = append(large, p.Retain())
		}
		if fromWorker(e.Source) {
			v.published.add(e.Key, p)
		}
	}
	a.adoptPack(packed, places)
	a.logMissing(missing)
	a.log.Info().Int("values", v.Len()).Uint64("epoch", v.Epoch()).Int64("bytes", bytes).
		Float64("took_ms", milliseconds(time.Since(began))).Msg("cached values restored")
	for _, e := range entries { // out of the journal, so that the next master does not log it again
		if missing[e.Key] != nil {
			a.put(Change{Key: e.Key, Epoch: e.Epoch, At: e.ChangedAt}, e.Source)
		}
	}
	if len(large) == 0 {
		return nil
	}
	return func() {
		for _, p := range large {
			p.Prepare()
			p.Release()
		}
	}
}

// restore fills the store, and takes the files of large values out of the map.
func (v *Values) restore(f, packed *os.File, files map[string]*os.File) (entries []Entry, missing map[string]error, err error) {
	journal, entries, epoch, err := OpenJournal(f)
	if err != nil {
		return nil, nil, err
	}
	missing, err = v.replay(time.Now(), epoch, entries, func(e Entry) (*ipc.Payload, error) {
		if at, ok := PlaceOf(e); ok {
			return unpack(packed, at)
		}
		file, ok := files[e.File]
		if !ok || !strings.HasPrefix(e.File, filePrefix) {
			return nil, fmt.Errorf("its file %s was not handed on", e.File)
		}
		delete(files, e.File)
		p, err := ipc.PayloadFromFile(file, e.FileSize)
		if err != nil {
			v.archive.keep.Drop(e.File)
		}
		return p, err
	})
	if err != nil {
		for _, e := range entries {
			if e.File != "" && files[e.File] == nil {
				v.archive.keep.Drop(e.File)
			}
		}
		return nil, nil, err
	}
	v.archive.journal = journal
	return entries, missing, nil
}

// logMissing names the first few of the values that are lost.
func (a *archive) logMissing(missing map[string]error) {
	if len(missing) == 0 {
		return
	}
	keys := slices.Sorted(maps.Keys(missing))
	const some = 10
	a.log.Error().Int("values", len(keys)).Strs("keys", keys[:min(len(keys), some)]).Err(missing[keys[0]]).
		Msg("cached values of the master before are lost until they are set again")
}

// Files are what the next master needs, by name. They stay the archive's, and are valid until the next change.
func (v *Values) Files() map[string]*os.File { return v.archive.files() }

// Rewrite writes all values down anew. It is for a master that goes on after a master that was to follow it has opened its files
// and has ended: what that one has written to the journal, or dropped, is not known. A master that is killed between the moment in
// which the old journal is dropped and the one in which the new one is stored leaves no values.
func (v *Values) Rewrite() {
	a := v.archive
	if a == nil || a.file == nil {
		return
	}
	_ = a.file.Close()
	a.file, a.shared = nil, true
	for key, large := range a.large {
		if large.payload == nil {
			delete(a.large, key)
			continue
		}
		a.keepFile(large.name, large.payload.File())
	}
	a.dropPack()
	f, err := record.Memory("tine-" + journalName)
	if err == nil {
		a.file = f
		a.journal, err = NewJournal(f)
	}
	epoch, sets := v.Snapshot()
	for _, set := range sets {
		if err == nil {
			a.put(Change{Key: set.Key, Epoch: set.Epoch, Payload: set.Payload, At: set.ChangedAt}, v.Source(set.Key))
		}
		set.Payload.Release()
	}
	if err == nil && a.file != nil {
		err = a.journal.AppendEpoch(epoch)
	}
	switch {
	case err != nil:
		a.giveUp(err)
	case a.file != nil:
		a.keepFile(journalName, f)
	}
}
