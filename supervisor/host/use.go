package host

import (
	"time"
)

// Use is what the system says of one process.
type Use struct {
	RSS int64         // bytes
	CPU time.Duration // used since its start, by itself: not by its children
}
