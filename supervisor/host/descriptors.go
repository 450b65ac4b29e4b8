package host

import "golang.org/x/sys/unix"

// Descriptors says how a master shares out the file descriptors that its process may have. Each share but that of the workers is
// a bound that holds whatever happens, so that there are always some for a worker and its replacement.
type Descriptors struct {
	Limit   int `json:"limit"`   // RLIMIT_NOFILE; Go raises it to the hard one at the start
	Values  int `json:"values"`  // cached values that have a memory file of their own
	Control int `json:"control"` // connections to the control socket
	Askers  int `json:"askers"`  // connections to each TCP address: health, metrics, dashboard
	Workers int `json:"workers"` // what is left for workers, about 5 each, and for their sockets
}

// Shares of the limit, and their bounds.
const (
	valuesShare, leastValues, mostValues    = 8, 8, 512
	controlShare, leastControl, mostControl = 8, 32, 512
	askersShare, leastAskers, mostAskers    = 16, 16, 2048
	askedAddresses                          = 3
	// keptShare is that of the values in what a keeper holds for the next master.
	keptShare = 4
	// ownFiles are for the master itself: the log, the runtime, timers, what is open for a moment.
	ownFiles = 64
	// mostFiles is for a process without a limit.
	mostFiles = 1 << 20
)

// ShareDescriptors shares out what this process may have. kept is how many files the keeper above holds at most; 0: no bound.
func ShareDescriptors(kept int) Descriptors {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return shareOut(mostFiles, kept)
	}
	return shareOut(int(min(uint64(limit.Cur), mostFiles)), kept)
}

func shareOut(limit, kept int) Descriptors {
	d := Descriptors{
		Limit:   limit,
		Values:  min(max(limit/valuesShare, leastValues), mostValues),
		Control: min(max(limit/controlShare, leastControl), mostControl),
		Askers:  min(max(limit/askersShare, leastAskers), mostAskers),
	}
	if kept > 0 {
		d.Values = min(d.Values, max(kept/keptShare, leastValues))
	}
	// In an upgrade there are two of each value for a moment.
	d.Workers = max(limit-2*d.Values-d.Control-askedAddresses*d.Askers-ownFiles, 0)
	return d
}
