package control

import (
	"time"

	"github.com/rs/zerolog"
)

// Options are those of a Server.
type Options struct {
	Path    string         // of the socket: see DefaultPath
	Version string         // of tine
	Doctor  func() any     // what /v1/doctor answers, as JSON; nil: 501
	Logger  zerolog.Logger // orders, refused peers, readers that were cut

	// WriteTimeout is how long a reader may take to read anything of what waits for it
	// before it is cut; 0: 10 s. What waits is bounded: about 256 KiB here, and the
	// Commander's queue of that reader.
	WriteTimeout time.Duration
}
