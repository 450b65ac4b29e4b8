// Package cache keeps named values fresh in the master, to be broadcast to all workers.
//
//	Func  Exec  File  SQL        one Source a value
//	  │     │     │     │
//	  └─────┴──┬──┴─────┘
//	         RunJob              one goroutine a value: interval, timeout, single flight
//	           │ Result
//	           ▼
//	         Values ──── Change ──► a frame for each worker's channel
//	          │   └───── Values ──► all values, for a worker that says hello
//	          ▼
//	        archive ── files ─────► the next master: Journal, Pack, a file for each large value
//
// [Values] is the owner: it has the values, their bounds, and what is known of their sources. The supervisor's loop gives it what sources
// and workers yield, and sends each Change to the workers.
//
// A Source yields a payload: bytes, shared by reference count, in a sealed memory file when large. [Encode] defines
// what a Go value looks like in it: []byte and string as they are, all else as JSON. Zero, false and "" are values.
//
// [RunJob] asks a Source at once and then every interval, measured from start to start, so that a slow answer does not
// stretch it. A failure changes nothing but the status: the last value stays, and its age shows. As long as there is no
// value yet, a failure is tried again soon: after 100 ms, doubling up to the interval. A fetch has a timeout; one that
// does not even return then is left behind, is said to hang in each Result, and is never doubled.
//
// What comes from outside is bounded: a fetched value by [MaxFetched], the error text of a command by one line.
//
// Changes are counted by epoch, the version of the whole set. A value that is equal to the one before is no change: it
// gets no epoch and is not sent again, only its age since it was confirmed begins anew. So for each key there are
// two ages: since it changed, and since its source last confirmed it.
//
// Each change is written to memory that outlives the master before a worker hears of it. [Values.Open] makes of that the values that the
// last master had, so that workers see neither a value vanish nor an epoch go back. A [Journal] keeps the changes; a value that it
// has no room for is in a [Pack].
//
// Bounds: at most [github.com/tinehq/tine/ipc.MaxSets] keys, and 10,000 when a worker adds one; [MaxPublished] bytes of what workers have
// set; as many values with a memory file as the master's descriptors allow; [MaxJournal] and [MaxPack] of what survives.
package cache
