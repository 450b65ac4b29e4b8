package cache

import (
	"errors"
	"fmt"
	"time"

	"github.com/tinehq/tine/ipc"
)

// replay fills an empty store with what a Journal had: its values with their epochs, and the epoch of the whole set, from
// which the next change goes on. When the values were last confirmed is not kept, so each is taken for as old as
// its change; and never for younger than now.
//
// open returns the payload of an Entry with a File, of FileSize bytes, and gives its reference away. What cannot be had is left out
// and returned in missing: workers forget it with the snapshot that they get next, until a change brings it back.
func (s *store) replay(now time.Time, epoch uint64, entries []Entry, open func(Entry) (*ipc.Payload, error)) (missing map[string]error, err error) {
	if len(s.values) > 0 || s.epoch > 0 {
		return nil, errors.New("cannot replay a journal into a store that has values")
	}
	for _, e := range entries {
		if e.Epoch == 0 || e.Epoch > epoch || e.Key == "" || s.values[e.Key] != nil {
			s.Close()
			return nil, fmt.Errorf("cannot replay a journal: %q has epoch %d of %d, or comes a second time", e.Key, e.Epoch, epoch)
		}
		if e.Deleted {
			continue
		}
		var p *ipc.Payload
		var err error
		if e.File != "" {
			p, err = open(e)
		} else {
			p, err = ipc.NewPayload(e.Value)
		}
		if err != nil {
			if missing == nil {
				missing = map[string]error{}
			}
			missing[e.Key] = err
			continue
		}
		at := e.ChangedAt
		if at.After(now) {
			at = now
		}
		if p.Mapped() {
			s.mapped++
		}
		*s.entry(e.Key) = value{epoch: e.Epoch, payload: p, changedAt: at, checkedAt: at, source: e.Source}
	}
	s.epoch = epoch
	return missing, nil
}
