package supervisor

import (
	"errors"
	"os"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/record"
)

// packMin is how long a value is at least that is packed for want of room in the journal: what is shorter would waste a page.
const packMin = 1 << 10

// putPacked writes a value into the pack, which it makes for the first one.
func (j *valuesJournal) putPacked(b []byte, epoch uint64) (largeValue, error) {
	if j.pack == nil {
		f, err := record.Memory("tine-" + packName)
		if err != nil {
			return largeValue{}, err
		}
		j.pack, j.packed = cache.NewPack(f, j.packMax), f
		j.store(packName, f)
	}
	at, err := j.pack.Put(b)
	if err != nil {
		return largeValue{}, err
	}
	return largeValue{name: at.Name(), epoch: epoch, place: at}, nil
}

// adoptPack goes on with the pack that the master before has left, if it did. Without a place that is used it is dropped. It
// takes over f.
func (j *valuesJournal) adoptPack(f *os.File, used []cache.Place) {
	if f == nil {
		return
	}
	if len(used) == 0 {
		j.keep.Drop(packName)
		_ = f.Close()
		return
	}
	j.pack, j.packed = cache.OpenPack(f, j.packMax, used), f
}

// dropPack forgets the pack, of which the journal names nothing any more.
func (j *valuesJournal) dropPack() {
	if j.packed != nil {
		j.keep.Drop(packName)
	}
	j.closePack()
}

// closePack lets go of the file, and leaves with keep what is there.
func (j *valuesJournal) closePack() {
	if j.packed != nil {
		_ = j.packed.Close()
	}
	j.pack, j.packed = nil, nil
}

// unpack reads a value of the pack that the master before has left; nil: it has left none.
func unpack(f *os.File, at cache.Place) (*ipc.Payload, error) {
	if f == nil {
		return nil, errors.New("the file " + packName + " was not handed on")
	}
	b, err := cache.ReadPlace(f, at)
	if err != nil {
		return nil, err
	}
	return ipc.NewInlinePayload(b)
}
