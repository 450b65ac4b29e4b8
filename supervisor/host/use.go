package host

import (
	"time"
)

// Use is what one process uses.
type Use struct {
	RSS int64         // resident memory in bytes
	CPU time.Duration // user and system time since its start, without its children
}
