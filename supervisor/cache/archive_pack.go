package cache

import (
	"errors"
	"os"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/record"
)

// packMin is how long a value is at least that is packed for want of room in the journal: what is shorter would waste a page.
const packMin = 1 << 10

// putPacked writes a value into the pack, which it makes for the first one.
func (a *archive) putPacked(b []byte, epoch uint64) (largeValue, error) {
	if a.pack == nil {
		f, err := record.Memory("tine-" + packName)
		if err != nil {
			return largeValue{}, err
		}
		a.pack, a.packed = NewPack(f, a.packMax), f
		a.keepFile(packName, f)
	}
	at, err := a.pack.Put(b)
	if err != nil {
		return largeValue{}, err
	}
	return largeValue{name: at.Name(), epoch: epoch, place: at}, nil
}

// adoptPack goes on with the pack that the master before has left, if it did. Without a place that is used it is dropped. It
// takes over f.
func (a *archive) adoptPack(f *os.File, used []Place) {
	if f == nil {
		return
	}
	if len(used) == 0 {
		a.keep.Drop(packName)
		_ = f.Close()
		return
	}
	a.pack, a.packed = OpenPack(f, a.packMax, used), f
}

// dropPack forgets the pack, of which the journal names nothing any more.
func (a *archive) dropPack() {
	if a.packed != nil {
		a.keep.Drop(packName)
	}
	a.closePack()
}

// closePack lets go of the file, and leaves with keep what is there.
func (a *archive) closePack() {
	if a.packed != nil {
		_ = a.packed.Close()
	}
	a.pack, a.packed = nil, nil
}

// unpack reads a value of the pack that the master before has left; nil: it has left none.
func unpack(f *os.File, at Place) (*ipc.Payload, error) {
	if f == nil {
		return nil, errors.New("the file " + packName + " was not handed on")
	}
	b, err := ReadPlace(f, at)
	if err != nil {
		return nil, err
	}
	return ipc.NewInlinePayload(b)
}
