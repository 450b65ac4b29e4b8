package listen

import "time"

// ledger finds connections that the kernel has counted for a slot and that no worker will ever accept: handshakes that were
// not finished, or aborted. Each would weigh on the slot forever.
//
// What is missing (counted, but neither accepted nor in the queue) is leaked plus under way, and what is under way changes
// and ends. So the least that was missing throughout a while is taken for leaked. That may be wrong, of handshakes that
// take longer, or of some that are always under way. When those are accepted less than nothing is missing, which
// cannot be, and that much is taken back at once.
type ledger struct {
	least int64
	since int64 // ns, of any monotonic clock
	looks int   // since then
}

const (
	leakWindow = int64(time.Second)
	leakLooks  = 3 // at least
)

// look takes what is missing. It answers by how much the slot is to be corrected: so many more, or fewer if it is
// negative, are to count as accepted and closed again. The next look must see that done.
func (l *ledger) look(at, missing int64) (correct int64) {
	if missing < 0 {
		*l = ledger{}
		return missing
	}
	if l.looks == 0 {
		l.since, l.least = at, missing
	}
	l.looks++
	l.least = min(l.least, missing)
	if at-l.since < leakWindow || l.looks < leakLooks {
		return 0
	}
	correct = l.least
	*l = ledger{}
	return correct
}

// flood notices that so many handshakes are unfinished that they do not show which slot does not accept: each
// slot always has some, so each would be taken for stale, but the one that has accepted last. The load still tells.
type flood struct {
	until int64 // ns, of any monotonic clock
}

const (
	// floodAt is how many are missing in all slots together: more than are under way between most clients and an app.
	floodAt = 256
	// floodFor is how long fewer must be missing before it is over.
	floodFor = 2 * int64(time.Second)
)

// look takes what is missing in all slots together. It answers whether there is a flood.
func (f *flood) look(at, missing int64) bool {
	if missing >= floodAt {
		f.until = at + floodFor
	}
	return at < f.until
}
