package handle

import (
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/proc"
)

// Fact is what has happened to a worker.
type Fact interface{ fact() }

type (
	// Frame: the worker has sent it. The receiver owns it, and closes Taken, where that is not nil, when it has acted on the frame.
	Frame struct {
		Conn  *ipc.Conn
		Frame ipc.Frame
		Taken chan<- struct{}
	}

	// ChannelEnded: no more frames come from Conn. Err is nil after an end of file, a reset or our own close; else it is an
	// [ipc.ProtocolError] or an [ipc.LostFilesError].
	ChannelEnded struct {
		Conn *ipc.Conn
		Err  error
	}

	// Stuck: the worker has not read its channel for so long, while something waits for it.
	Stuck struct{ Waiting time.Duration }

	// Suspended: the system has stopped the process (SIGSTOP and the like), or lets it go on.
	Suspended struct{ Stopped bool }

	// Exited: the process runs no more. Left: the worker said on its lifeline that it leaves of its own accord.
	Exited struct {
		Exit proc.Exit
		Left bool
	}
)

func (Frame) fact()        {}
func (ChannelEnded) fact() {}
func (Stuck) fact()        {}
func (Suspended) fact()    {}
func (Exited) fact()       {}
