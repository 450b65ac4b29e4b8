package crew

import (
	"bytes"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/logs"
)

const (
	// dumpMethod is the call that every native worker answers by itself.
	dumpMethod = "tine.dump"
	// dumpTimeout bounds the wait for a worker's answer: a worker that is stopped, or whose runtime stands still, never answers,
	// and is replaced all the same.
	dumpTimeout = 2 * time.Second
	// dumpInLog is how many bytes of a dump the log gets; the file has all of it.
	dumpInLog = 32 << 10
)

// dump asks a worker what its goroutines are doing, and writes the answer to a file and to the log. Nothing else shows why the worker
// stood still.
func (c *Crew) dump(m *Worker, reason string) {
	if m == nil {
		return
	}
	if !m.Open() {
		m.In(c.logs.Warn()).Str("reason", reason).Msg("no goroutine dump: the worker's channel has ended")
		return
	}
	nothing, err := cache.Encode("")
	if err != nil {
		m.In(c.logs.Error()).Err(err).Msg("cannot ask for a goroutine dump")
		return
	}
	asked := dumpRequest{
		m: m, app: m.App.Name, folder: c.logs.DumpFolder(m.App.Config.DumpDir), answer: make(chan ipc.Reply, 1),
		of:  fmt.Sprintf("slot%d-worker%d-pid%d", m.Slot, m.ID, m.PID()),
		log: m.with(c.logs.With()).Str("reason", reason).Logger(),
	}
	m.Call(dumpMethod, dumpTimeout, nothing, asked.answer)
	c.loop.Go(func() { asked.finish(c.loop) })
}

// dumpRequest is a dump that a worker was asked for. A goroutine of its own waits for the answer; the worker itself is the loop's.
type dumpRequest struct {
	m      *Worker
	app    string
	folder logs.DumpFolder
	of     string // the worker, in the name of the file
	answer chan ipc.Reply
	log    zerolog.Logger
}

func (d dumpRequest) finish(loop Inbox) {
	late := time.NewTimer(dumpTimeout)
	defer late.Stop()
	var text []byte
	var err error
	select {
	case r := <-d.answer:
		text, err = handle.Answer(dumpMethod, r)
	case <-late.C:
		loop.Post(dumpOverdue(d))
		err = fmt.Errorf("no answer within %s: the process is stopped, or its runtime stands still", dumpTimeout)
	case <-loop.Done():
		return
	}
	if err != nil {
		d.log.Warn().Err(err).Msg("no goroutine dump")
		return
	}
	line := d.log.Warn()
	if path, err := d.folder.Write(d.app, d.of, time.Now(), text); err != nil {
		line.AnErr("file_error", err)
	} else {
		line.Str("file", path)
	}
	line.Int("goroutines", bytes.Count(text, []byte("goroutine "))).Str("dump", logs.HeadOf(text, dumpInLog)).Msg("goroutine dump")
}

// dumpOverdue is a dump whose answer nothing waits for any more.
type dumpOverdue dumpRequest

func (d dumpOverdue) Act(*Crew) { d.m.Cancel(d.answer) }
