package master

import (
	"bytes"
	"fmt"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/crew"
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
func (l *loop) dump(m *crew.Worker, reason string) {
	if m == nil {
		return
	}
	if !m.Open() {
		l.worker(l.logs.Warn(), m).Str("reason", reason).Msg("no goroutine dump: the worker's channel has ended")
		return
	}
	nothing, err := cache.Encode("")
	if err != nil {
		l.worker(l.logs.Error(), m).Err(err).Msg("cannot ask for a goroutine dump")
		return
	}
	asked := dumpRequest{
		m: m, reason: reason, folder: logs.DumpFolderOf(m.App.Config.DumpDir, l.logConfig.File), answer: newAnswer[ipc.Reply](),
		of: fmt.Sprintf("slot%d-worker%d-pid%d", m.Slot, m.ID, m.PID()),
	}
	m.Call(dumpMethod, dumpTimeout, nothing, asked.answer)
	l.s.wg.Go(func() { asked.finish(l) })
}

// dumpRequest is a dump that a worker was asked for. Its fields are not written to
// again, so that a goroutine of its own can wait for the answer.
type dumpRequest struct {
	m      *crew.Worker
	reason string
	folder logs.DumpFolder
	of     string // the worker, in the name of the file
	answer chan ipc.Reply
}

func (d dumpRequest) finish(l *loop) {
	late := time.NewTimer(dumpTimeout)
	defer late.Stop()
	var text []byte
	var err error
	select {
	case r := <-d.answer:
		text, err = replyBytes(dumpMethod, r)
	case <-late.C:
		l.s.post(cancelCall{worker: uint64(d.m.ID), answer: d.answer})
		err = fmt.Errorf("no answer within %s: the process is stopped, or its runtime stands still", dumpTimeout)
	case <-l.s.done:
		return
	}
	line := l.worker(l.logs.Warn(), d.m).Str("reason", d.reason)
	if err != nil {
		line.Err(err).Msg("no goroutine dump")
		return
	}
	if path, err := d.folder.Write(d.m.App.Name, d.of, time.Now(), text); err != nil {
		line.AnErr("file_error", err)
	} else {
		line.Str("file", path)
	}
	line.Int("goroutines", bytes.Count(text, []byte("goroutine "))).Str("dump", logs.HeadOf(text, dumpInLog)).Msg("goroutine dump")
}
