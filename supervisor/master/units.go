package master

import (
	"time"
)

// ms is a duration as log lines have it: milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
